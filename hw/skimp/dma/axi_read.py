"""AXI4 read master: segments from several clients become bursts, beats go back in order."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.dma.axi import BURST_INCR, Axi4, SegmentLayout, burst_split

__all__ = ["AxiReader"]


class AxiReader(wiring.Component):
    """Reads segments of beats for its clients; client 0 goes first, the others take turns.

    Bursts of different clients alternate; a burst is asked for once its client has room for it, so
    that no client's beats wait on the bus in front of another's.

    Parameters
    ----------
    config : Config
    num_clients : int

    Members
    -------
    segments : In(stream(SegmentLayout)).array(num_clients)
    beats : Out(stream(bus_bits)).array(num_clients)
    room : In(16).array(num_clients)
        Beats that the client could take now; those under way to it are counted in here. Looked at
        a clock late: no beat waits on the bus where only beats that come make it fall.
    dram_base : In(32)
    stop : In(1)
        No new bursts; those under way are finished.
    axi : Out(Axi4)
        Only the read channels are used.
    error : Out(1), error_addr : Out(32)
        A beat came with an error a clock ago; the address is that of its burst.
    inc_beats : Out(1)
    idle : Out(1)
        Nothing asked for and nothing under way.
    quiet : Out(1)
        No burst is under way; a stopped master comes to this, whatever it was asked for.

    Notes
    -----
    *Throughput*: a beat a clock, a burst a clock; bursts of up to burst_beats, never across 4 KB,
    reads_outstanding of them under way. *Latency*: 3 clocks from a segment to its address on the
    bus; 2 from room to the address of a burst that waited for it.
    """

    def __init__(self, config: Config, *, num_clients: int):
        if num_clients < 2:
            raise ValueError(f"num_clients must be at least 2, not {num_clients!r}")
        self._config = config
        self._num_clients = num_clients
        super().__init__(
            {
                "segments": In(stream.Signature(SegmentLayout)).array(num_clients),
                "beats": Out(stream.Signature(config.bus_bits)).array(num_clients),
                "room": In(16).array(num_clients),
                "dram_base": In(32),
                "stop": In(1),
                "axi": Out(Axi4(data_bits=config.bus_bits)),
                "error": Out(1),
                "error_addr": Out(32),
                "inc_beats": Out(1),
                "idle": Out(1),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, axi = self._config, self.axi
        clients = range(self._num_clients)
        outstanding = Signal(range(cfg.reads_outstanding + 1))
        m.submodules.owners = owners = SyncFIFOBuffered(
            width=32 + len(clients), depth=max(cfg.reads_outstanding, 3)
        )
        owner = owners.r_data[32:]
        mine = [Signal(name=f"issue_{k}") for k in clients]

        # Each client's segment; in front of it the next burst, which waits for its turn.
        active = [Signal(name=f"active_{k}") for k in clients]
        waits = [Signal(name=f"waits_{k}") for k in clients]
        fits = [Signal(name=f"fits_{k}") for k in clients]
        burst_addr, bus_addr = (
            [Signal(32, name=f"{name}_{k}", reset_less=True) for k in clients]
            for name in ("burst_addr", "bus_addr")
        )
        beats = [
            Signal(range(cfg.burst_beats + 1), name=f"beats_{k}", reset_less=True) for k in clients
        ]
        for k in clients:
            segment = self.segments[k]
            addr = Signal(32, name=f"addr_{k}", reset_less=True)
            left = Signal(24, name=f"beats_left_{k}", reset_less=True)
            split = burst_split(
                m,
                addr=addr,
                beats_left=left,
                burst_beats=cfg.burst_beats,
                beat_bytes=cfg.bus_bytes,
                name=f"burst_{k}",
            )
            m.d.comb += segment.ready.eq(~active[k])
            with m.If(mine[k]):
                m.d.sync += waits[k].eq(0)
            with m.If(active[k] & (~waits[k] | mine[k])):
                m.d.sync += [
                    waits[k].eq(left != 0),
                    burst_addr[k].eq(addr),
                    bus_addr[k].eq(self.dram_base + addr),
                    beats[k].eq(split.beats),
                    active[k].eq(~split.is_last),
                    addr.eq(split.next_addr),
                    left.eq(split.next_beats_left),
                ]
            with m.If(segment.valid & ~active[k]):
                m.d.sync += [
                    active[k].eq(1),
                    addr.eq(segment.payload.addr),
                    left.eq(segment.payload.beats),
                ]

            # Room for one more burst, as of the clock before; a burst that was issued in that
            # clock counts as one of full length.
            under_way = Signal(
                range(cfg.reads_outstanding * cfg.burst_beats + 1), name=f"under_way_{k}"
            )
            spare, came = Signal(signed(17), name=f"spare_{k}"), Signal(name=f"came_{k}")
            m.d.comb += [
                spare.eq(self.room[k] - under_way),
                came.eq(self.inc_beats & owner[k]),
            ]
            # Compared without its sign: no carry chain where burst_beats is a power of two.
            one, two = ((spare >= 0) & (spare[:-1] >= count * cfg.burst_beats) for count in (1, 2))
            m.d.sync += [
                fits[k].eq(Mux(mine[k], two, one)),
                under_way.eq(under_way + Mux(mine[k], beats[k], 0) - came),
            ]

        # Choice: client 0 first; the others in turn.
        wanted = [waits[k] & fits[k] for k in clients]
        turn = Signal(range(len(clients)), init=1)
        chosen = Signal(len(clients))
        with m.If(wanted[0]):
            m.d.comb += chosen.eq(1)
        with m.Else():
            with m.Switch(turn):
                for first in clients[1:]:
                    with m.Case(first):
                        order = [*range(first, len(clients)), *range(1, first)]
                        for k in reversed(order):
                            with m.If(wanted[k]):
                                m.d.comb += chosen.eq(1 << k)

        # `owners` has a place for each burst that may be under way.
        can_issue, issue, retire = Signal(), Signal(), Signal()
        m.d.comb += [
            can_issue.eq(
                ~self.stop & (outstanding != cfg.reads_outstanding) & (~axi.arvalid | axi.arready)
            ),
            issue.eq(can_issue & chosen.any()),
            owners.w_en.eq(issue),
            axi.arsize.eq((cfg.bus_bytes - 1).bit_length()),
            axi.arburst.eq(BURST_INCR),
        ]
        with m.If(issue):
            m.d.sync += axi.arvalid.eq(1)
        with m.Elif(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        for k in clients:
            m.d.comb += mine[k].eq(can_issue & chosen[k])
            with m.If(chosen[k]):
                m.d.comb += owners.w_data.eq(Cat(burst_addr[k], chosen))
            with m.If(mine[k]):
                m.d.sync += [axi.araddr.eq(bus_addr[k]), axi.arlen.eq(beats[k] - 1)]
                if k:
                    m.d.sync += turn.eq(k % (len(clients) - 1) + 1)

        # Data channel: the oldest burst's owner takes the beats.
        for k in clients:
            m.d.comb += [
                self.beats[k].payload.eq(axi.rdata),
                self.beats[k].valid.eq(axi.rvalid & owners.r_rdy & owner[k]),
            ]
        ready = Cat(self.beats[k].ready & owner[k] for k in clients).any()
        m.d.comb += [
            axi.rready.eq(owners.r_rdy & ready),
            self.inc_beats.eq(axi.rvalid & axi.rready),
            retire.eq(self.inc_beats & axi.rlast),
            owners.r_en.eq(retire),
            self.quiet.eq((outstanding == 0) & ~axi.arvalid),
            self.idle.eq(~Cat(active, waits).any() & self.quiet),
        ]
        m.d.sync += [
            outstanding.eq(outstanding + issue - retire),
            self.error.eq(self.inc_beats & axi.rresp[1]),
            self.error_addr.eq(owners.r_data[:32]),
        ]
        return m
