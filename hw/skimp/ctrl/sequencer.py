"""Sequencer: fetches commands, hands them to the units, fences, stops on errors."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.ctrl.command_queue import CommandQueue
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.ctrl.semaphores import Semaphores
from skimp.dma.axi import SegmentLayout
from skimp.isa import COMMAND_BYTES, COMMANDS, MASK_BITS, Error, Opcode, Semaphore, Unit

__all__ = ["FETCH_AHEAD", "FETCH_COMMANDS", "NUM_UNITS", "UNIT_ORDER", "Sequencer"]

UNIT_ORDER = (Unit.LOAD, Unit.WGT, Unit.ARRAY, Unit.DEPTHWISE, Unit.DRAIN, Unit.STORE)
NUM_UNITS = len(UNIT_ORDER)

FETCH_COMMANDS = 8
"""Commands asked for at once: DRAM answers late, and one command lasts a few clocks at times."""

FETCH_AHEAD = 32
"""Commands fetched before they are needed, at most."""


_FetchedLayout = data.StructLayout(
    {"command": COMMAND_BITS, "unit": NUM_UNITS, "check": 1, "right_hash": 1, "end": 1}
)
"""A command and what it is; unit: one bit each in UNIT_ORDER. No bit: no opcode of ours."""


class Sequencer(wiring.Component):
    """Runs the command stream of a program.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : In(1), program_addr : In(32)
    segments : Out(stream(SegmentLayout)), beats : In(stream(bus_bits))
        Fetch, through the read master.
    commands : Out(stream).array(6)
        To the units in UNIT_ORDER: commands whose semaphores are taken.
    posts : In(MASK_BITS).array(6), idles : In(6)
    memory_post : In(MASK_BITS)
        Posts of writes that are acknowledged.
    progress : In(1)
        The bus moved a beat.
    bus_read_error, bus_write_error : In(1), bus_read_addr, bus_write_addr : In(32)
    damaged : In(1)
        A coded activation is damaged.
    busy, done, error : Out(1)
        done and error stay until the next start.
    event : Out(1)
        One clock when done or error begins.
    error_code : Out(8), error_info : Out(32)
    stop : Out(1)
        Stopped by an error: the masters issue nothing new.
    inc_command : Out(1)
    wait_read, wait_psum, wait_store : Out(1)
        What the next commands of array and depthwise unit wait for: both for ifmap or weights (or
        there is none); one of them for a psum slot; drain's next command waits for the ofmap buffer.

    Notes
    -----
    *Latency*: a command goes out one clock behind the moment when it is the first of its queue and
    its semaphores are there; END goes on one clock behind the moment when all is idle.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "program_addr": In(32),
                "segments": Out(stream.Signature(SegmentLayout)),
                "beats": In(stream.Signature(config.bus_bits)),
                "commands": Out(stream.Signature(COMMAND_BITS)).array(NUM_UNITS),
                "posts": In(MASK_BITS).array(NUM_UNITS),
                "memory_post": In(MASK_BITS),
                "idles": In(NUM_UNITS),
                "progress": In(1),
                "bus_read_error": In(1),
                "bus_write_error": In(1),
                "damaged": In(1),
                "bus_read_addr": In(32),
                "bus_write_addr": In(32),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
                "event": Out(1),
                "error_code": Out(8),
                "error_info": Out(32),
                "stop": Out(1),
                "inc_command": Out(1),
                "wait_read": Out(1),
                "wait_psum": Out(1),
                "wait_store": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._hung = Signal(name="hung")
        self._fetch(m)
        self._queues(m)
        self._dispatch(m)
        self._watchdog(m)
        return m

    def _fetch(self, m):
        """Read commands into a small queue until END goes by."""
        cfg = self._config
        beats_per_command = COMMAND_BYTES // cfg.bus_bytes
        # Commands are decoded on their way into the queue.
        width = _FetchedLayout.size
        m.submodules.fetched = fetched = SyncFIFOBuffered(width=width, depth=FETCH_AHEAD)
        addr = Signal(32, reset_less=True)
        fetching = Signal()
        expected = Signal(range(FETCH_AHEAD + 1))  # asked for, not yet dispatched
        beat = Signal(range(max(beats_per_command, 2)))
        word = Signal(COMMAND_BITS, reset_less=True)
        complete = Signal()
        entry = Signal(_FetchedLayout)
        check = view(word, Opcode.CHECK)
        ask, arrive = Signal(), Signal()

        m.d.comb += [
            self.segments.payload.addr.eq(addr),
            self.segments.payload.beats.eq(FETCH_COMMANDS * beats_per_command),
            self.segments.valid.eq(
                fetching & (expected <= FETCH_AHEAD - FETCH_COMMANDS) & ~self.stop
            ),
            ask.eq(self.segments.valid & self.segments.ready),
            self.beats.ready.eq(1),
            arrive.eq(self.beats.valid),
            fetched.w_data.eq(entry),
            fetched.w_en.eq(complete),
            entry.command.eq(word),
            entry.check.eq(check.opcode == Opcode.CHECK),
            entry.right_hash.eq(check.hash == cfg.hash),
            entry.end.eq(check.opcode == Opcode.END),
        ]
        for u, unit in enumerate(UNIT_ORDER):
            opcodes = [c.opcode for c in COMMANDS.values() if c.unit == unit]
            m.d.comb += entry.unit[u].eq(check.opcode.matches(*opcodes))
        m.d.sync += complete.eq(0)
        with m.If(ask):
            m.d.sync += addr.eq(addr + FETCH_COMMANDS * COMMAND_BYTES)
        with m.If(arrive):
            m.d.sync += word.eq(Cat(word, self.beats.payload)[-COMMAND_BITS:])
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == beats_per_command - 1):
                m.d.sync += [beat.eq(0), complete.eq(1)]
        m.d.sync += expected.eq(expected + Mux(ask, FETCH_COMMANDS, 0) - fetched.r_en)
        with m.If(self.start & ~self.busy):
            m.d.sync += [fetching.eq(1), addr.eq(self.program_addr)]
        self._fetched, self._fetching, self._expected = fetched, fetching, expected

    def _queues(self, m):
        """One queue per unit; a command leaves it when its semaphores are taken."""
        m.submodules.semaphores = self._sems = sems = Semaphores(num_units=NUM_UNITS + 1)
        self._fifos = []
        for u, unit in enumerate(UNIT_ORDER):
            fifo = CommandQueue(unit=unit, depth=self._config.queue_depth)
            m.submodules[f"queue_{unit.name.lower()}"] = fifo
            head = view(fifo.r_data, Opcode.CHECK)
            out = self.commands[u]
            m.d.comb += [
                sems.asks[u].eq(fifo.r_rdy),
                sems.wait[u].eq(head.wait),
                sems.post[u].eq(self.posts[u]),
                out.payload.eq(fifo.r_data),
                out.valid.eq(sems.granted[u] & ~self.stop),
                sems.take[u].eq(out.valid & out.ready),
                fifo.r_en.eq(sems.take[u]),
            ]
            self._fifos.append(fifo)
        m.d.comb += sems.post[NUM_UNITS].eq(self.memory_post)

        def waits(unit, *semaphores):
            u = UNIT_ORDER.index(unit)
            mask = sum(1 << s for s in semaphores)
            return self._fifos[u].r_rdy & ((sems.wait[u] & ~sems.available & mask) != 0)

        def starves(unit, *semaphores):
            return ~self._fifos[UNIT_ORDER.index(unit)].r_rdy | waits(unit, *semaphores)

        m.d.comb += [
            self.wait_psum.eq(
                waits(Unit.ARRAY, Semaphore.PSUM_FREE)
                | waits(Unit.DEPTHWISE, Semaphore.DW_PSUM_FREE)
            ),
            self.wait_read.eq(
                starves(Unit.ARRAY, Semaphore.IFMAP_FULL, Semaphore.WGT_FULL)
                & starves(Unit.DEPTHWISE, Semaphore.DW_IFMAP_FULL, Semaphore.DW_WGT_FULL)
            ),
            self.wait_store.eq(waits(Unit.DRAIN, Semaphore.OFMAP_FREE)),
        ]

    def _dispatch(self, m):
        fetched, fifos = self._fetched, self._fifos
        head = data.View(_FetchedLayout, fetched.r_data)
        position = Signal(32)
        quiet = Signal()  # since END is there
        queues_empty = Cat(fifo.empty for fifo in fifos).all()
        m.d.sync += quiet.eq(
            fetched.r_rdy
            & head.end
            & queues_empty
            & self.idles.all()
            & Cat(*(post == 0 for post in self.posts)).all()
        )
        for fifo in fifos:
            m.d.comb += fifo.w_data.eq(head.command)

        def fail(code, info):
            m.d.sync += [
                self.error.eq(1),
                self.stop.eq(1),
                self.error_code.eq(code),
                self.error_info.eq(info),
                self.event.eq(1),
            ]

        m.d.sync += self.event.eq(0)
        m.d.comb += self.inc_command.eq(fetched.r_en)
        with m.If(fetched.r_en):
            m.d.sync += position.eq(position + COMMAND_BYTES)

        with m.FSM(name="state"):
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [
                        self.busy.eq(1),
                        self.done.eq(0),
                        self.error.eq(0),
                        self.error_code.eq(0),
                        position.eq(self.program_addr),
                    ]
                    m.d.comb += self._sems.clear.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(fetched.r_rdy & ~self.stop):
                    with m.If(head.check):
                        m.d.comb += fetched.r_en.eq(1)
                        with m.If(~head.right_hash):
                            fail(Error.CONFIG_HASH, position)
                            m.next = "STOPPED"
                    with m.Elif(head.end):
                        m.d.sync += self._fetching.eq(0)
                        with m.If(quiet):
                            m.d.comb += fetched.r_en.eq(1)
                            m.next = "FLUSH"
                    with m.Elif(head.unit.any()):
                        room = Cat(fifo.w_rdy for fifo in fifos)
                        m.d.comb += fetched.r_en.eq((head.unit & room).any())
                        for u, fifo in enumerate(fifos):
                            m.d.comb += fifo.w_en.eq(head.unit[u])
                    with m.Else():
                        fail(Error.BAD_COMMAND, position)
                        m.next = "STOPPED"
            with m.State("FLUSH"):
                # Commands fetched behind END come in and are thrown away.
                m.d.comb += fetched.r_en.eq(fetched.r_rdy)
                with m.If((self._expected == 0) & ~fetched.r_rdy):
                    m.d.sync += [self.busy.eq(0), self.done.eq(1), self.event.eq(1)]
                    m.next = "IDLE"
            with m.State("STOPPED"):
                # Until a soft reset.
                m.d.sync += self.busy.eq(0)
                m.d.sync += self._fetching.eq(0)

        with m.If(self.busy & ~self.stop):
            with m.If(self.bus_read_error):
                fail(Error.BUS_READ, self.bus_read_addr)
            with m.Elif(self.bus_write_error):
                fail(Error.BUS_WRITE, self.bus_write_addr)
            with m.Elif(self.damaged):
                fail(Error.DAMAGED, position)
            with m.Elif(self._hung):
                fail(Error.WATCHDOG, position)
        with m.If(self.stop):
            m.d.sync += [self.busy.eq(0), self._fetching.eq(0)]

    def _watchdog(self, m):
        """Count clocks in which nothing moved."""
        clocks = Signal(range(self._config.watchdog_cycles + 1))
        moved = Signal()
        m.d.sync += moved.eq(
            self.progress
            | self._sems.take.any()
            | self.inc_command
            | Cat(post.any() for post in self.posts).any()
            | ~self.busy
        )
        with m.If(moved):
            m.d.sync += clocks.eq(0)
        with m.Elif(~self._hung):
            m.d.sync += clocks.eq(clocks + 1)
        m.d.comb += self._hung.eq(clocks == self._config.watchdog_cycles)
