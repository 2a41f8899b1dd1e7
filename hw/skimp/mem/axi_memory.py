"""Block RAM as the DRAM of a board that has no other: behind AXI4, with a port of bytes beside it."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.dma.axi import BURST_INCR, RESP_DECERR, RESP_OKAY, RESP_SLVERR, Axi4
from skimp.mem.ram import Ram1R1W

__all__ = ["AxiMemory"]

_READ_CLOCKS = 2
"""From an address to its data: the memory's own register, and one behind its wide multiplexer."""

_QUEUED_BEATS = 8


class _Bursts(wiring.Component):
    """The AXI4 side: what to read and to write, a beat a clock, where the memory is free."""

    def __init__(self, *, depth: int, data_bits: int):
        self._depth = depth
        self._data_bits = data_bits
        super().__init__(
            {
                "axi": In(Axi4(data_bits=data_bits)),
                "r_free": In(1),
                "r_en": Out(1),
                "r_beat": Out(ceil_log2(depth)),
                "r_word": In(data_bits),
                "w_free": In(1),
                "w_en": Out(1),
                "w_beat": Out(ceil_log2(depth)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._reads(m)
        self._writes(m)
        return m

    def _response(self, m, channel: str) -> Signal:
        """Return the response to the burst on an address channel."""
        addr, length, size, burst = (
            getattr(self.axi, f"{channel}{name}") for name in ("addr", "len", "size", "burst")
        )
        shift = ceil_log2(self._data_bits // 8)
        response = Signal(2, name=f"{channel}_response")
        with m.If((size != shift) | (burst != BURST_INCR)):
            m.d.comb += response.eq(RESP_SLVERR)
        with m.Elif((addr >> shift) + length >= self._depth):
            m.d.comb += response.eq(RESP_DECERR)
        with m.Else():
            m.d.comb += response.eq(RESP_OKAY)
        return response

    def _reads(self, m):
        axi = self.axi
        shift = ceil_log2(self._data_bits // 8)
        response = self._response(m, "ar")
        beats_left = Signal(9)
        burst_response = Signal(2, reset_less=True)
        m.submodules.queue = queue = SyncFIFOBuffered(
            width=self._data_bits + 3, depth=_QUEUED_BEATS
        )
        reading = Signal()
        m.d.comb += [
            axi.arready.eq(beats_left == 0),
            reading.eq(
                (beats_left != 0) & self.r_free & (queue.level < _QUEUED_BEATS - _READ_CLOCKS)
            ),
            self.r_en.eq(reading),
        ]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [
                beats_left.eq(axi.arlen + 1),
                burst_response.eq(response),
                self.r_beat.eq(axi.araddr >> shift),
            ]
        with m.Elif(reading):
            m.d.sync += [beats_left.eq(beats_left - 1), self.r_beat.eq(self.r_beat + 1)]
        arriving, is_last, answer = reading, beats_left == 1, burst_response
        for n in range(_READ_CLOCKS):
            arriving_q = Signal(name=f"arriving_d{n + 1}")
            is_last_q = Signal(name=f"is_last_d{n + 1}", reset_less=True)
            answer_q = Signal(2, name=f"answer_d{n + 1}", reset_less=True)
            m.d.sync += [arriving_q.eq(arriving), is_last_q.eq(is_last), answer_q.eq(answer)]
            arriving, is_last, answer = arriving_q, is_last_q, answer_q
        m.d.comb += [
            queue.w_en.eq(arriving),
            queue.w_data.eq(Cat(Mux(answer == RESP_OKAY, self.r_word, 0), answer, is_last)),
            axi.rvalid.eq(queue.r_rdy),
            queue.r_en.eq(axi.rready),
            Cat(axi.rdata, axi.rresp, axi.rlast).eq(queue.r_data),
        ]

    def _writes(self, m):
        axi = self.axi
        shift = ceil_log2(self._data_bits // 8)
        response = self._response(m, "aw")
        taking = Signal()
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        m.d.comb += [
            axi.awready.eq(~taking & ~axi.bvalid),
            axi.wready.eq(taking & self.w_free),
            self.w_en.eq(axi.wvalid & axi.wready & (axi.bresp == RESP_OKAY)),
        ]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [taking.eq(1), axi.bresp.eq(response), self.w_beat.eq(axi.awaddr >> shift)]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += self.w_beat.eq(self.w_beat + 1)
            with m.If(axi.wlast):
                m.d.sync += [taking.eq(0), axi.bvalid.eq(1)]


class AxiMemory(wiring.Component):
    """AXI4 slave: a memory from address 0 on.

    Parameters
    ----------
    size_bytes : int
        A multiple of the bytes of a beat.
    data_bits : int
        Bits of a beat.

    Members
    -------
    axi : In(Axi4)
        DECERR for a burst that leaves the memory, SLVERR for one of another type than INCR or of
        narrow beats; neither changes the memory.
    r_en : In(1), r_addr : In, r_data : Out(8)
        A byte, `port_read_latency` clocks later, for one clock.
    w_en : In(1), w_addr : In, w_data : In(8)
        A byte to write.
    reset_bus : In(1)
        Forgets every burst; the memory and its port of bytes go on.

    Notes
    -----
    *Latency*: `read_latency` clocks from a read's address to its first beat, one from a write's last
    beat to its answer. *Throughput*: a beat a clock each way, one clock between reading bursts and
    two between writing ones; the port of bytes goes first and takes a clock from the bus. A read
    and a write of the same beat in the same clock leave the read undefined: a master that waits for
    the answer to a write before it reads has no such. *Limits*: a burst that wrote and one that
    reset_bus cut short stay half written.
    """

    port_read_latency = _READ_CLOCKS
    read_latency = _READ_CLOCKS + 3

    def __init__(self, *, size_bytes: int, data_bits: int):
        beat_bytes = data_bits // 8
        if beat_bytes < 2 or data_bits != 8 << ceil_log2(beat_bytes):
            raise ValueError(f"data_bits must be 16, 32, 64 or more, not {data_bits!r}")
        if size_bytes < 2 * beat_bytes or size_bytes % beat_bytes:
            raise ValueError(f"size_bytes must be a multiple of {beat_bytes}, not {size_bytes!r}")
        self._size_bytes = size_bytes
        self._data_bits = data_bits
        super().__init__(
            {
                "axi": In(Axi4(data_bits=data_bits)),
                "r_en": In(1),
                "r_addr": In(ceil_log2(size_bytes)),
                "r_data": Out(8),
                "w_en": In(1),
                "w_addr": In(ceil_log2(size_bytes)),
                "w_data": In(8),
                "reset_bus": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat_bytes = self._data_bits // 8
        shift = ceil_log2(beat_bytes)
        depth = self._size_bytes // beat_bytes
        m.submodules.ram = ram = Ram1R1W(
            width=self._data_bits, depth=depth, granularity=8, ram_style="block"
        )
        bursts = _Bursts(depth=depth, data_bits=self._data_bits)
        m.submodules.bursts = ResetInserter(self.reset_bus)(bursts)
        wiring.connect(m, wiring.flipped(self.axi), bursts.axi)

        word = Signal(self._data_bits, reset_less=True)
        lane_d1, lane_d2 = Signal(shift, reset_less=True), Signal(shift, reset_less=True)
        m.d.sync += [word.eq(ram.r_data), lane_d1.eq(self.r_addr), lane_d2.eq(lane_d1)]
        m.d.comb += [
            bursts.r_free.eq(~self.r_en),
            bursts.r_word.eq(word),
            ram.r_en.eq(self.r_en | bursts.r_en),
            ram.r_addr.eq(Mux(self.r_en, self.r_addr >> shift, bursts.r_beat)),
            self.r_data.eq(word.word_select(lane_d2, 8)),
            bursts.w_free.eq(~self.w_en),
        ]
        with m.If(self.w_en):
            m.d.comb += [
                *(ram.w_en[n].eq(self.w_addr[:shift] == n) for n in range(beat_bytes)),
                ram.w_addr.eq(self.w_addr >> shift),
                ram.w_data.eq(self.w_data.replicate(beat_bytes)),
            ]
        with m.Else():
            m.d.comb += [
                ram.w_en.eq(Mux(bursts.w_en, self.axi.wstrb, 0)),
                ram.w_addr.eq(bursts.w_beat),
                ram.w_data.eq(self.axi.wdata),
            ]
        return m
