"""The cycle model of a whole program."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np

from skimp.isa import CHANNELS
from skimp.isa import Unit as IsaUnit
from skimp.regs import COUNTERS
from skimp_compiler.program import DeviceStep, Program
from skimp_sim.counting import LayerCounts, commands_of, count_layers
from skimp_sim.dram.ddr4 import Ddr4
from skimp_sim.dram.params import Ddr4Params
from skimp_sim.dram.replay import Request
from skimp_sim.perf.accounts import Intervals, counts_before
from skimp_sim.perf.array import Array
from skimp_sim.perf.depthwise import Depthwise
from skimp_sim.perf.drain import Drain
from skimp_sim.perf.kernel import NEVER, Semaphores
from skimp_sim.perf.linear import Linear
from skimp_sim.perf.load import LoadData, LoadRequests
from skimp_sim.perf.read import Memory, ReadData, Reader
from skimp_sim.perf.sequencer import Sequencer
from skimp_sim.perf.store import Store, Writer

__all__ = ["PerfError", "PerfResult", "run_perf"]

START_CLOCKS = 16
"""Clocks of the memory before the first program starts: reset, and what the driver writes."""

BETWEEN_CLOCKS = 9 + 4 * len(COUNTERS)
"""Clocks between the end of a program and the start of the next: the driver reads both halves of
every counter, two clocks each."""


class PerfError(RuntimeError):
    """A program that does not come to its end; names what the units wait for."""


@dataclass(kw_only=True)
class PerfResult:
    """What the cycle model says.

    Parameters
    ----------
    counters : dict
        By layer_id, as the LAYER records of the hardware hold them (macs_gated left out).
    counts : dict
        LayerCounts by layer_id, as the functional model has them (macs_gated left out).
    dram : dict
        Counters of the DDR4 model: what they counted from the first of the steps on.
    requests : list of Request
        Its bursts in the order in which it got them.
    wall_seconds : float
    """

    counters: dict[int, dict[str, int]] = field(default_factory=dict)
    counts: dict[int, LayerCounts] = field(default_factory=dict)
    dram: dict[str, int] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    wall_seconds: float = 0.0

    @cached_property
    def cycles(self) -> int:
        """Clocks of all layers."""
        return sum(counters["cycles"] for counters in self.counters.values())


def run_perf(program: Program, *, ddr4: Ddr4Params | None = None) -> PerfResult:
    """Return cycles, causes and accesses of every layer of a program.

    Its `prior_steps` run first, and leave chip and DRAM as they are when `steps` begin; only what
    these do is reported.

    Parameters
    ----------
    program : Program
    ddr4 : Ddr4Params or None
        None: the one that the RTL is simulated with (`ddr4_of`).
    """
    from skimp_sim.rtl_engine import ddr4_of

    begin = time.perf_counter()
    config = program.config
    ddr = Ddr4(config.bus_bytes, ddr4 or ddr4_of(config))
    clock = START_CLOCKS
    machine = None
    for steps in (program.prior_steps, program.steps):
        result, lists = PerfResult(), []
        ddr.advance(clock)
        before = ddr.counters.as_dict()
        for step in steps:
            if not isinstance(step, DeviceStep):
                continue
            commands = commands_of(program, step)
            lists.append(commands)
            machine = _Machine(program, step, commands, ddr, clock, machine)
            clock += machine.run() + BETWEEN_CLOCKS
            result.counters.update(machine.counters(step))
            result.requests += machine.memory.requests
    result.counts = count_layers(config, chain.from_iterable(lists), program.unit_beats)
    ddr.drain()  # the last writes
    result.dram = {name: n - before[name] for name, n in ddr.counters.as_dict().items()}
    result.wall_seconds = time.perf_counter() - begin
    return result


class _Machine:
    """The units of one run of a program; some registers keep what the run before left."""

    def __init__(self, program, step: DeviceStep, commands, ddr: Ddr4, start: int, before):
        config = program.config
        semaphores = Semaphores()
        self.memory = memory = Memory(ddr, start)
        self.reader = reader = Reader(config, memory)
        self.read_data = ReadData(reader)
        self.seq = seq = Sequencer(config, commands, step.address, reader, semaphores)
        queues = seq.queues
        self.load_data = load_data = LoadData(config, reader, semaphores)
        self.load = LoadRequests(
            config, queues[IsaUnit.LOAD], reader, load_data, program.unit_beats
        )
        self.linear = Linear(config, queues[IsaUnit.WGT], reader, semaphores)
        self.array = Array(config, queues[IsaUnit.ARRAY], semaphores)
        self.depthwise = Depthwise(config, queues[IsaUnit.DEPTHWISE], semaphores)
        self.drain = Drain(config, queues[IsaUnit.DRAIN], semaphores)
        self.writer = Writer(config, memory)
        self.store = Store(
            config, queues[IsaUnit.STORE], self.writer, semaphores, program.unit_beats
        )
        reader.clients = [seq, self.load, self.linear]
        seq.units = {
            IsaUnit.LOAD: self.load,
            IsaUnit.WGT: self.linear,
            IsaUnit.ARRAY: self.array,
            IsaUnit.DEPTHWISE: self.depthwise,
            IsaUnit.DRAIN: self.drain,
            IsaUnit.STORE: self.store,
        }
        if before is not None:
            reader.turn = before.reader.turn
        for (_, waiter), semaphore in CHANNELS.items():
            semaphores.waiter[semaphore] = seq.units[waiter]
        posting = (
            load_data, self.linear, self.array, self.depthwise, self.drain, self.store,
        )  # fmt: skip
        for unit in posting:
            unit.sequencer = seq
        # In this order within a clock: those that see registers of others before those that
        # change them.
        self.units = (
            memory, reader, self.read_data, load_data, self.load, self.linear, seq, self.array,
            self.depthwise, self.drain, self.store, self.writer,
        )  # fmt: skip

    def run(self) -> int:
        """Run to the end; return the clocks."""
        units, seq = self.units, self.seq
        (
            memory, reader, read_data, load_data, load, linear, _, array, depthwise, drain, store,
            writer,
        ) = units  # fmt: skip
        before = -1
        while seq.done == NEVER:
            t = min(
                memory.due, reader.due, read_data.due, load_data.due, load.due, linear.due,
                seq.due, array.due, depthwise.due, drain.due, store.due, writer.due,
            )  # fmt: skip
            if t == NEVER:
                raise PerfError(self._stuck())
            assert t > before, (t, before, [type(u).__name__ for u in units if u.due == t])
            before = t
            for unit in units:
                if unit.due <= t:
                    unit.due = NEVER
                    unit.step(t)
        return seq.done

    def _stuck(self) -> str:
        waiting = [
            f"{unit.name} for {queue.fifo.first.opcode.name}"
            for unit, queue in self.seq.queues.items()
            if queue.fifo.first is not None
        ]
        return "the program waits for ever: " + ", ".join(waiting)

    def counters(self, step: DeviceStep) -> dict[int, dict[str, int]]:
        """Counters of every layer of the step, as the driver takes them from the records."""
        marks = [clock for _, clock in self.store.snapshots]
        marks[-1:] = [self.seq.done]
        sums = self._sums(np.asarray(marks, np.int64))
        names = [name for name, _ in COUNTERS if name in sums]
        layers = {}
        for k, (layer_id, _) in enumerate(self.store.snapshots):
            layers[layer_id] = {
                name: int(sums[name][k] - (sums[name][k - 1] if k else 0)) for name in names
            }
        return layers

    def _sums(self, marks: np.ndarray) -> dict[str, np.ndarray]:
        """Each counter before each mark."""
        array, depthwise, drain = self.array, self.depthwise, self.drain
        end = self.seq.done
        known = Intervals(
            end,
            marks,
            {
                "array": array.busy(),
                "depthwise": depthwise.busy(),
                "array_waiting": array.waiting(end),
                "depthwise_waiting": depthwise.waiting(end),
                "wait_psum": [*array.wait_psum, *depthwise.wait_psum],
                "loaded": [*array.loaded, *depthwise.loaded],
                "wait_store": drain.wait_store,
                "load": self.load_data.busy,
                "linear": self.linear.busy,
                "drain": drain.busy,
                "store": self.store.busy,
                "draining": drain.running,
            },
        )
        waiting = known["array_waiting"] & known["depthwise_waiting"]
        psum = known["wait_psum"]
        read = ~known["loaded"]
        loads_idle = ~(known["load"] | known["linear"])
        behind = psum | read & loads_idle
        causes = {
            "array": known["array"],
            "depthwise": known["depthwise"],
            "stall_dram_write": waiting
            & behind
            & (known["wait_store"] | ~known["drain"] & known["store"]),
            "stall_drain": waiting & (psum | read & loads_idle & known["drain"]),
            "stall_dram_read": waiting & read & ~loads_idle,
        }
        sums = {"cycles": marks}
        free = np.ones_like(waiting)
        for name, value in causes.items():
            sums[name] = known.upto(free & value, marks)
            free = free & ~value
        sums["stall_other"] = known.upto(free, marks)
        sums["beside"] = known.upto(known["array"] & known["depthwise"], marks)
        sums["drain"] = known.upto(known["draining"], marks)
        sums["read_beats"] = self._read_beats(marks)
        sums["write_beats"] = counts_before(self.writer.beat_log, marks)
        sums["commands"] = counts_before(self.seq.commands, marks)
        return sums

    def _read_beats(self, marks: np.ndarray) -> np.ndarray:
        """Beats before each mark; those of a burst that a mark cuts are taken as even."""
        sums = counts_before(self.reader.beat_log, marks)
        bursts = np.asarray(self.reader.bursts, np.int64).reshape(-1, 3)
        first, last, beats = bursts.T
        total = np.concatenate(([0], np.cumsum(beats)))
        whole = np.searchsorted(last, marks)
        sums = sums + total[whole]
        for k, (mark, n) in enumerate(zip(marks, whole)):
            if n < len(bursts) and first[n] < mark:
                sums[k] += (mark - first[n]) * beats[n] // (last[n] + 1 - first[n])
        return sums
