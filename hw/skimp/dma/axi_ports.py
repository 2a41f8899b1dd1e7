"""One wide AXI4 master on several narrow ports."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from skimp.config import ConfigError
from skimp.dma.axi import BURST_INCR, Axi4
from skimp.mem.lut_fifo import LutFifo

__all__ = ["AxiPorts"]

CHUNK_BYTES = 64
"""What a port is asked for at a time: a burst of a DDR4 channel of 64 bits."""

_READ_NARROW_BEATS = 64
"""Beats of a port's read buffer: as many as LUT RAM holds in one level."""

_ANSWERS = 64
"""Chunks written that wait for their answers."""


class AxiPorts(wiring.Component):
    """Spreads the bursts of a master over ports by address, and puts the answers together.

    Parameters
    ----------
    data_bits : int
        Of the master: port_bits, or 2 or 4 times as many.
    num_ports : int
        1, 2 or 4.
    port_bits : int

    Members
    -------
    bus : In(Axi4(data_bits))
        Bursts aligned to beats, of any length, inside 4 KB.
    ports : Out(Axi4(port_bits)).array(num_ports)
        Bursts of up to 64 bytes inside aligned 64 bytes.
    forget : In(1)
        The master was reset: nothing that is not yet on a port goes there, and answers to what is
        are swallowed. Until the last one came, no address is taken from the master.

    Notes
    -----
    *Order*: the address chooses the port, so accesses to the same bytes meet at one port and keep
    the order in which they were asked for; between reads and writes AXI4 promises none, here as on
    a single port, and the master waits for the answers to its writes. Read beats and answers come
    back in the order of the bursts; the answer to a burst is the worst of its chunks.

    *Reads* are asked for only where the port's buffer has room, so no beat ever waits on a port:
    ports that share a path in the memory system cannot block each other. Answers to writes, too,
    are always taken.

    *Throughput*: a beat a clock where num_ports * port_bits >= data_bits and addresses follow each
    other, with 64 narrow beats under way on each port; otherwise that of the ports. *Latency*: 2
    clocks to the ports, 3 back and the beats of one chunk. *Resources*: LUT RAM of 64 narrow beats
    for each port, and a multiplexer of ports each way.

    A chunk is a beat where the master is wider than a port: 64 bytes at 512 bits, but 32 at 256.
    """

    def __init__(self, *, data_bits: int, num_ports: int, port_bits: int = 128):
        if data_bits not in (port_bits, 2 * port_bits, 4 * port_bits):
            raise ConfigError(
                f"a bus of {data_bits} bits: must be {port_bits}, {2 * port_bits} or "
                f"{4 * port_bits} for ports of {port_bits} bits"
            )
        if num_ports not in (1, 2, 4):
            raise ConfigError(f"num_ports must be 1, 2 or 4, not {num_ports!r}")
        self._data_bits = data_bits
        self._port_bits = port_bits
        self._ratio = data_bits // port_bits
        self._chunk_beats = 1 if self._ratio > 1 else max(1, 8 * CHUNK_BYTES // data_bits)
        chunk_shift = exact_log2(self._chunk_beats * data_bits // 8)
        self._port_of = slice(chunk_shift, chunk_shift + exact_log2(num_ports))
        super().__init__(
            {
                "bus": In(Axi4(data_bits=data_bits)),
                "ports": Out(Axi4(data_bits=port_bits)).array(num_ports),
                "forget": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flushing = Signal()
        reads_over, writes_over = Signal(), Signal()
        self._read(m, flushing, reads_over)
        self._write(m, flushing, writes_over)
        with m.If(self.forget):
            m.d.sync += flushing.eq(1)
        with m.Elif(reads_over & writes_over):
            m.d.sync += flushing.eq(0)
        for port in self.ports:
            for channel in ("ar", "aw"):
                m.d.comb += [
                    getattr(port, f"{channel}size").eq(exact_log2(self._port_bits // 8)),
                    getattr(port, f"{channel}burst").eq(BURST_INCR),
                ]
        return m

    def _chunk(self, addr, left):
        """Return a chunk's beats - 1, for `left` + 1 beats from an address on, and if it is the last."""
        if self._chunk_beats == 1:
            return Const(0, 1), left == 0
        beat_shift = exact_log2(self._data_bits // 8)
        room = ~addr[beat_shift : self._port_of.start]  # beats - 1 up to the chunk's end
        fits = ~left[len(room) :].any() & (left[: len(room)] <= room)
        return Mux(fits, left, room)[: len(room)], fits

    def _next_addr(self, addr):
        """Return the address of the beat behind; a burst stays inside 4 KB."""
        shift = exact_log2(self._data_bits // 8)
        return Cat(addr[:shift], (addr[shift:12] + 1)[: 12 - shift], addr[12:])

    def _chosen(self, m, values, port, name):
        """Return values[port]."""
        if len(values) == 1:
            return values[0]
        chosen = Signal(len(values[0]), name=name)
        with m.Switch(port):
            for p, value in enumerate(values):
                with m.Case(p):
                    m.d.comb += chosen.eq(value)
        return chosen

    def _read(self, m, flushing, over):
        bus, ports, ratio = self.bus, self.ports, self._ratio
        room = _READ_NARROW_BEATS // ratio
        port_bits = len(range(self._port_of.start, self._port_of.stop))

        # A burst of the master, chunk by chunk.
        active, issue, is_last = (Signal(name=f"read_{n}") for n in ("active", "issue", "is_last"))
        addr = Signal(32, name="read_addr", reset_less=True)
        left = Signal(8, name="read_left", reset_less=True)
        port = Signal(port_bits, name="read_port")
        beats, last = self._chunk(addr, left)
        free = [Signal(range(room + 1), init=room, name=f"free_{p}") for p in range(len(ports))]
        ready = [~ours.arvalid & (count >= self._chunk_beats) for ours, count in zip(ports, free)]
        m.d.comb += [
            port.eq(addr[self._port_of]),
            is_last.eq(last),
            issue.eq(active & ~flushing & self._chosen(m, ready, port, "read_ready")),
            bus.arready.eq((~active | issue & is_last) & ~flushing),
        ]
        with m.If(bus.arready & bus.arvalid):
            m.d.sync += [active.eq(1), addr.eq(bus.araddr), left.eq(bus.arlen)]
        with m.Elif(issue):
            if self._chunk_beats == 1:
                following = self._next_addr(addr)
            else:
                low, high = self._port_of.start, 12
                following = Cat(Const(0, low), (addr[low:high] + 1)[: high - low], addr[high:])
            m.d.sync += [active.eq(~is_last), addr.eq(following), left.eq(left - beats - 1)]
        with m.If(self.forget | flushing):
            m.d.sync += active.eq(0)
        m.submodules.read_order = order = LutFifo(
            width=port_bits + len(beats) + 1, depth=room * len(ports)
        )
        m.d.comb += [order.w_en.eq(issue), order.w_data.eq(Cat(is_last, beats, port))]

        # Each port gathers narrow beats to a wide one.
        head_last, head_beats = order.r_data[0], order.r_data[1 : 1 + len(beats)]
        head_port = order.r_data[1 + len(beats) :]
        gathered, words, resps = [], [], []
        takes = [Signal(name=f"take_{p}") for p in range(len(ports))]
        for p, (ours, take) in enumerate(zip(ports, takes)):
            mine = Signal(name=f"issue_{p}")
            m.d.comb += mine.eq(issue & (port == p))
            with m.If(mine):
                m.d.sync += [
                    ours.arvalid.eq(1),
                    ours.araddr.eq(addr),
                    ours.arlen.eq((beats + 1) * ratio - 1),
                ]
            with m.Elif(ours.arready):
                m.d.sync += ours.arvalid.eq(0)
            m.d.sync += free[p].eq(free[p] - Mux(mine, beats + 1, 0) + take)

            fifo = LutFifo(width=self._port_bits + 2, depth=_READ_NARROW_BEATS)
            m.submodules[f"read_{p}"] = fifo
            have = Signal(range(ratio + 1), name=f"have_{p}")
            word = [
                Signal(self._port_bits, name=f"word_{p}_{n}", reset_less=True) for n in range(ratio)
            ]
            resp = Signal(2, name=f"resp_{p}", reset_less=True)
            whole, nth = Signal(name=f"whole_{p}"), Signal(range(ratio + 1), name=f"nth_{p}")
            m.d.comb += [
                ours.rready.eq(1),
                fifo.w_en.eq(ours.rvalid),
                fifo.w_data.eq(Cat(ours.rdata, ours.rresp)),
                whole.eq(have == ratio),
                nth.eq(Mux(take, 0, have)),
                fifo.r_en.eq(fifo.r_rdy & (~whole | take)),
            ]
            m.d.sync += have.eq(nth + fifo.r_en)
            with m.If(fifo.r_en):
                came = fifo.r_data[self._port_bits :]
                m.d.sync += resp.eq(came | Mux(nth == 0, 0, resp))
                for n in range(ratio):
                    with m.If(nth == n):
                        m.d.sync += word[n].eq(fifo.r_data[: self._port_bits])
            gathered.append(whole)
            words.append(Cat(word))
            resps.append(resp)

        # The oldest burst's beats go first.
        valid = Signal(name="read_valid")
        take, done = Signal(name="take"), Signal(name="read_chunk_done")
        beat = Signal(max(1, len(beats)), name="read_beat")
        m.d.comb += [
            take.eq(
                order.r_rdy
                & self._chosen(m, gathered, head_port, "head_whole")
                & (~valid | bus.rready | flushing)
            ),
            done.eq(take & (beat == head_beats)),
            order.r_en.eq(done),
            bus.rvalid.eq(valid),
            over.eq(~order.r_rdy & ~active),
        ]
        for p, mine in enumerate(takes):
            m.d.comb += mine.eq(take & (head_port == p))
        with m.If(take):
            m.d.sync += [
                bus.rdata.eq(self._chosen(m, words, head_port, "head_words")),
                bus.rresp.eq(self._chosen(m, resps, head_port, "head_resp")),
                bus.rlast.eq(head_last & (beat == head_beats)),
                beat.eq(Mux(done, 0, beat + 1)),
            ]
        with m.If(take | bus.rready):
            m.d.sync += valid.eq(take)
        with m.If(self.forget | flushing):
            m.d.sync += valid.eq(0)

    def _write(self, m, flushing, over):
        bus, ports, ratio = self.bus, self.ports, self._ratio
        port_bits = len(range(self._port_of.start, self._port_of.stop))

        # A burst of the master, beat by beat; the next one waits behind it.
        active, waits, go, mid = (
            Signal(name=f"write_{n}") for n in ("active", "waits", "go", "mid")
        )
        addr, next_addr = (
            Signal(32, name=f"write_{n}", reset_less=True) for n in ("addr", "next_addr")
        )
        left, next_left = (
            Signal(8, name=f"write_{n}", reset_less=True) for n in ("left", "next_left")
        )
        port = Signal(port_bits, name="write_port")
        beats, chunk_is_last = self._chunk(addr, left)
        chunk_left = Signal(max(1, len(beats)), name="write_chunk_left", reset_less=True)
        chunk_ends = Signal(name="write_chunk_ends")
        m.submodules.write_order = order = LutFifo(width=port_bits + 1, depth=_ANSWERS)
        m.d.comb += [
            port.eq(addr[self._port_of]),
            chunk_ends.eq(Mux(mid, chunk_left, beats) == 0),
            bus.awready.eq(~waits & ~flushing),
        ]
        free = []
        loads = [Signal(name=f"load_{p}") for p in range(len(ports))]
        for p, (ours, load) in enumerate(zip(ports, loads)):
            begin = Signal(name=f"begin_{p}")
            m.d.comb += [load.eq(go & (port == p)), begin.eq(load & ~mid)]
            with m.If(begin):
                m.d.sync += [
                    ours.awvalid.eq(1),
                    ours.awaddr.eq(addr),
                    ours.awlen.eq((beats + 1) * ratio - 1),
                ]
            with m.Elif(ours.awready):
                m.d.sync += ours.awvalid.eq(0)

            data = Signal(self._data_bits, name=f"data_{p}", reset_less=True)
            strobes = Signal(self._data_bits // 8, name=f"strobes_{p}", reset_less=True)
            ends = Signal(name=f"ends_{p}", reset_less=True)
            nth = Signal(range(max(ratio, 2)), name=f"write_nth_{p}")
            is_last = Signal(name=f"is_last_{p}")
            m.d.comb += [
                is_last.eq(nth == ratio - 1),
                ours.wdata.eq(data.word_select(nth, self._port_bits)),
                ours.wstrb.eq(strobes.word_select(nth, self._port_bits // 8)),
                ours.wlast.eq(is_last & ends),
            ]
            with m.If(load):
                m.d.sync += [
                    ours.wvalid.eq(1),
                    data.eq(bus.wdata),
                    strobes.eq(Mux(flushing, 0, bus.wstrb)),
                    ends.eq(chunk_ends),
                    nth.eq(0),
                ]
            with m.Elif(ours.wready & ours.wvalid):
                m.d.sync += [ours.wvalid.eq(~is_last), nth.eq(nth + 1)]
            free.append(
                (~ours.wvalid | ours.wready & is_last) & (mid | ~ours.awvalid & order.w_rdy)
            )
        m.d.comb += [
            go.eq(
                active & Mux(flushing, mid, bus.wvalid) & self._chosen(m, free, port, "write_free")
            ),
            bus.wready.eq(go & ~flushing),
            order.w_en.eq(go & ~mid),
            order.w_data.eq(Cat(chunk_is_last, port)),
        ]
        over_now = Signal(name="write_burst_ends")
        m.d.comb += over_now.eq(go & (left == 0))
        with m.If(go):
            m.d.sync += [
                mid.eq(~chunk_ends),
                chunk_left.eq(Mux(mid, chunk_left, beats) - 1),
                addr.eq(self._next_addr(addr)),
                left.eq(left - 1),
            ]
        with m.If(~active | over_now):
            m.d.sync += [active.eq(waits), addr.eq(next_addr), left.eq(next_left), waits.eq(0)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [waits.eq(1), next_addr.eq(bus.awaddr), next_left.eq(bus.awlen)]
        with m.If(self.forget | flushing):
            m.d.sync += waits.eq(0)
        with m.If(flushing & (~mid | go & chunk_ends)):
            m.d.sync += active.eq(0)

        # Answers of the chunks, in their order.
        answers = []
        head_last, head_port = order.r_data[0], order.r_data[1:]
        pop, worst, now = (
            Signal(name="answer"),
            Signal(2, name="worst"),
            Signal(2, name="worst_now"),
        )
        for p, ours in enumerate(ports):
            fifo = LutFifo(width=2, depth=_ANSWERS)
            m.submodules[f"answers_{p}"] = fifo
            m.d.comb += [
                ours.bready.eq(1),
                fifo.w_en.eq(ours.bvalid),
                fifo.w_data.eq(ours.bresp),
                fifo.r_en.eq(pop & (head_port == p)),
            ]
            answers.append(Cat(fifo.r_rdy, fifo.r_data))
        head = self._chosen(m, answers, head_port, "head_answer")
        valid = Signal(name="answer_valid")
        m.d.comb += [
            pop.eq(order.r_rdy & head[0] & (~valid | bus.bready | flushing)),
            now.eq(worst | head[1:]),
            order.r_en.eq(pop),
            bus.bvalid.eq(valid),
            over.eq(~order.r_rdy & ~active & ~mid & ~waits),
        ]
        with m.If(pop):
            m.d.sync += worst.eq(Mux(head_last, 0, now))
        with m.If(pop & head_last):
            m.d.sync += [valid.eq(1), bus.bresp.eq(now)]
        with m.Elif(bus.bready):
            m.d.sync += valid.eq(0)
        with m.If(self.forget | flushing):
            m.d.sync += [valid.eq(0), worst.eq(0)]
