"""Sequencer with a memory and four dummy units: order, semaphores, fences, pauses, every error."""

import dataclasses
import random

import pytest
from amaranth import *
from amaranth.sim import Simulator
from testconfigs import ODD

from skimp.configs import PRESETS
from skimp.ctrl.sequencer import UNIT_ORDER, Sequencer
from skimp.isa import COMMAND_BYTES, COMMANDS, Error, Opcode, Semaphore, Unit, assemble, parse

CONFIG = ODD
WATCHDOG_SLACK = 50
AT = 0x4000
"""Address of the program."""

STATUS = ("busy", "paused", "done", "error", "error_code", "error_info", "layer_id", "stop")
WAITS = ("wait_read", "wait_psum", "wait_store")


def mask(*semaphores):
    return sum(1 << s for s in semaphores)


def program(*commands, config=CONFIG):
    """CHECK, the commands, END, and zeros, which are no commands, behind it."""
    check = assemble(Opcode.CHECK, hash=config.hash)
    return b"".join([check, *commands, assemble(Opcode.END)]) + bytes(4 * COMMAND_BYTES)


class Machine:
    """A sequencer with everything around it, in Python; the last run's story is kept.

    Parameters
    ----------
    image : bytes
        Program at `AT`; fetching beyond it is a failure.
    stalls : float
        Share of clocks in which memory and units stall.
    durations : tuple of int
        Clocks that a command takes, least and most.
    """

    def __init__(self, image, *, config=CONFIG, seed=0, stalls=0.0, durations=(1, 6)):
        self.image, self.config, self.stalls, self.durations = image, config, stalls, durations
        self.rng = random.Random(seed)
        self.inputs = {}  # inputs for one clock, by clock
        self.issued = []  # (clock, unit, command number)
        self.finished = []
        self.events = []
        self.asked = []
        self.history = []  # status, by clock
        self.num_fetched = 0

    def run(self, clocks, *, until=lambda status: status["done"] or status["error"]):
        """Start in clock 2; return the status some clocks after `until` holds."""
        self.sequencer = seq = Sequencer(self.config)
        self.reset = Signal()
        simulator = Simulator(ResetInserter(self.reset)(seq))
        simulator.add_clock(1e-6)

        async def bench(ctx):
            left = None
            ctx.set(seq.program_addr, AT)
            self._idle()
            for clock in range(clocks):
                self._before(ctx, clock)
                await self._clock(ctx, clock)
                if left is None and clock > 4 and until(self.history[-1]):
                    left = 60
                elif left is not None:
                    left -= 1
                    if left == 0:
                        return

        simulator.add_testbench(bench)
        simulator.run()
        return self.history[-1]

    def _idle(self):
        self.beats, self.running = [], [None] * 4
        self.counts = dict.fromkeys(Semaphore, 0)
        self.next_command = [0] * 4
        whole = range(0, len(self.image), COMMAND_BYTES)
        self.commands = [self.image[i : i + COMMAND_BYTES] for i in whole]

    def _before(self, ctx, clock):
        """Inputs of this clock."""
        seq, rng = self.sequencer, self.rng
        inputs = {"start": int(clock == 2)} | self.inputs.get(clock, {})
        names = "start step resume progress bus_read_error bus_write_error".split()
        for name in [*names, "bus_read_addr", "bus_write_addr"]:
            if name != "step" or "step" in inputs:
                ctx.set(getattr(seq, name), inputs.get(name, 0))
        ctx.set(self.reset, inputs.get("reset", 0))
        if inputs.get("reset"):
            self._idle()
        if "image" in inputs:
            self.image = inputs["image"]
            self._idle()
        ctx.set(seq.segments.ready, rng.random() >= self.stalls)
        self.valid = bool(self.beats) and (self.valid_held or rng.random() >= self.stalls)
        ctx.set(seq.beats.valid, self.valid)
        ctx.set(seq.beats.payload, self.beats[0] if self.beats else rng.getrandbits(32))
        idles = 0
        for u in range(4):
            busy = self.running[u]
            post = 0
            if busy is not None and busy[0] == 0:
                post = busy[1]["post"]
                self.finished.append((clock, UNIT_ORDER[u], busy[2]))
                self.running[u] = busy = None
            ctx.set(seq.posts[u], post)
            for s in Semaphore:  # seen from the next clock on
                self.counts[s] += 0x100 * (post >> s & 1)
            ctx.set(seq.commands[u].ready, busy is None and rng.random() >= self.stalls)
            idles |= (busy is None) << u
        ctx.set(seq.idles, idles)

    valid_held = False

    async def _clock(self, ctx, clock):
        seq = self.sequencer
        watched = [seq.segments.valid, seq.segments.ready, seq.segments.payload, seq.beats.ready]
        for u in range(4):
            out = seq.commands[u]
            watched += [out.valid, out.ready, out.payload]
        watched += [getattr(seq, n) for n in (*STATUS, *WAITS, "event", "inc_command")]
        _, _, *values = await ctx.tick().sample(*watched)
        seg_valid, seg_ready, segment, beat_ready = values[:4]
        status = dict(zip((*STATUS, *WAITS, "event", "inc_command"), values[16:]))
        self.history.append(status)
        if status["event"]:
            self.events.append(clock)
        self.num_fetched += status["inc_command"]
        if self.valid and beat_ready:
            self.beats.pop(0)
        self.valid_held = self.valid and not beat_ready
        if seg_valid and seg_ready:
            self.asked.append((clock, segment.addr))
            at, size = segment.addr - AT, self.config.word_bytes
            assert segment.beats * size == COMMAND_BYTES
            assert 0 <= at <= len(self.image) - COMMAND_BYTES, "fetch beyond the program's padding"
            self.beats += [
                int.from_bytes(self.image[i : i + size], "little")
                for i in range(at, at + COMMAND_BYTES, size)
            ]
        for u in range(4):
            valid, ready, payload = values[4 + 3 * u : 7 + 3 * u]
            if self.running[u] is not None:
                left, *rest = self.running[u]
                self.running[u] = (left - 1, *rest)
            if valid:
                self._offered(clock, u, payload, ready)
        for s in Semaphore:  # posts of this clock become visible
            posts, count = divmod(self.counts[s], 0x100)
            self.counts[s] = posts + count

    def _offered(self, clock, u, payload, ready):
        opcode, fields = parse(payload.to_bytes(COMMAND_BYTES, "little"))
        assert COMMANDS[opcode].unit == UNIT_ORDER[u]
        waits = [s for s in Semaphore if fields["wait"] >> s & 1]
        for s in waits:
            assert self.counts[s] & 0xFF, f"{opcode.name} is offered without {s.name}"
        if not ready:
            return
        for s in waits:
            self.counts[s] -= 1
        number = next(
            n
            for n in range(self.next_command[u], len(self.commands))
            if self.commands[n][0] and COMMANDS[Opcode(self.commands[n][0])].unit == UNIT_ORDER[u]
        )
        assert self.commands[number] == payload.to_bytes(COMMAND_BYTES, "little"), "out of order"
        self.next_command[u] = number + 1
        self.issued.append((clock, UNIT_ORDER[u], number))
        self.running[u] = (self.rng.randint(*self.durations), fields, number)


def tiles(num_tiles, *, halves=2):
    """A layer as the compiler makes it: each tile goes through the four units."""
    full_free = (
        (Semaphore.IFMAP_FULL, Semaphore.IFMAP_FREE),
        (Semaphore.PSUM_FULL, Semaphore.PSUM_FREE),
        (Semaphore.OFMAP_FULL, Semaphore.OFMAP_FREE),
    )
    stages = (Opcode.LOAD_IFMAP, Opcode.CONV, Opcode.DRAIN, Opcode.STORE)
    commands = []
    for n in range(num_tiles):
        for k, opcode in enumerate(stages):
            wait = post = 0
            if k:  # takes what the stage before filled, frees it
                full, free = full_free[k - 1]
                wait |= mask(full)
                post |= mask(free)
            if k < 3:
                full, free = full_free[k]
                wait |= mask(free) if n >= halves else 0
                post |= mask(full)
            commands.append(assemble(opcode, wait=wait, post=post))
    return commands


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("config", [ODD, PRESETS["zcu104"]], ids=lambda c: c.name)
def test_layers_in_order(config, stalls):
    """Commands in program order within a unit, semaphores kept, a layer ends before the next."""
    for seed in range(2):
        where = f"seed {seed}"
        layers = [tiles(5), tiles(1), tiles(9, halves=1)]
        commands = []
        for n, layer in enumerate(layers):
            commands += [*layer, assemble(Opcode.LAYER, layer_id=100 + n)]
        image = program(*commands, config=config)
        machine = Machine(image, config=config, seed=seed, stalls=stalls)
        status = machine.run(5000)
        assert status["done"] and not status["busy"] and not status["error"], where
        assert status["layer_id"] == 102
        assert len(machine.issued) == sum(map(len, layers)), where
        assert len(machine.events) == 1
        fences = [n for n, c in enumerate(machine.commands) if c[0] == Opcode.LAYER]
        for fence in fences:
            before = [clock for clock, _, number in machine.finished if number < fence]
            after = [clock for clock, _, number in machine.issued if number > fence]
            assert not after or max(before) < min(after), where
        # Commands are fetched once each, in order, and few of them behind END.
        addresses = [addr for _, addr in machine.asked]
        assert addresses == [AT + COMMAND_BYTES * n for n in range(len(addresses))]
        assert machine.num_fetched == len(addresses) <= len(image) // COMMAND_BYTES
        assert all(h["stop"] == 0 for h in machine.history)


def test_units_overlap():
    """Four stages of eight tiles take little more than eleven stages one behind the other."""
    machine = Machine(program(*tiles(8)), durations=(100, 100))
    status = machine.run(4000)
    assert status["done"]
    first, last = machine.issued[0][0], machine.finished[-1][0]
    assert 1100 <= last - first < 1300


def test_layer_clears_semaphores():
    """What is posted in one layer does not start a command of the next."""
    leftover = assemble(Opcode.LOAD_LINEAR, post=mask(Semaphore.WGT_FULL))
    needs = assemble(Opcode.CONV, wait=mask(Semaphore.WGT_FULL))
    layer = assemble(Opcode.LAYER, layer_id=1)
    machine = Machine(program(leftover, layer, needs))
    status = machine.run(CONFIG.watchdog_cycles + 1000)
    assert status["error_code"] == Error.WATCHDOG
    assert [unit for _, unit, _ in machine.issued] == [Unit.LOAD]


def test_step_and_resume():
    """Pauses behind each LAYER, an event each; nothing of the next layer starts before resume."""
    layers = [tiles(2), tiles(1)]
    image = program(
        *layers[0], assemble(Opcode.LAYER, layer_id=7), *layers[1],
        assemble(Opcode.LAYER, layer_id=8),
    )  # fmt: skip
    machine = Machine(image)
    machine.inputs = {
        1: {"step": 1},
        700: {"resume": 1},
        700 + CONFIG.watchdog_cycles + 500: {"resume": 1, "step": 0},
    }
    status = machine.run(8000)
    assert status["done"] and not status["error"]
    assert machine.history[699]["paused"] and machine.history[699]["layer_id"] == 7
    assert machine.history[699]["busy"]
    assert {n for clock, _, n in machine.issued if clock < 700} == set(range(1, 9))
    # No watchdog in the second, long pause.
    before = machine.history[700 + CONFIG.watchdog_cycles + 499]
    assert before["paused"] and before["layer_id"] == 8
    assert len(machine.events) == 3


def stopped(machine, status, code, info):
    """Hold what must be true of every error."""
    assert status["error"] and not status["busy"] and not status["done"] and not status["paused"]
    assert (status["error_code"], status["error_info"]) == (code, info)
    assert len(machine.events) == 1
    first = next(n for n, h in enumerate(machine.history) if h["stop"])
    assert all(clock < first for clock, *_ in machine.issued), "a command starts behind the error"
    assert all(clock < first for clock, _ in machine.asked), "a fetch starts behind the error"


@pytest.mark.parametrize("opcode", [0, 11, 255])
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_bad_opcode(opcode, stalls):
    bad = bytes([opcode]) + bytes(COMMAND_BYTES - 1)
    machine = Machine(program(*tiles(2), bad, *tiles(2)), stalls=stalls)
    stopped(machine, machine.run(2000), Error.BAD_COMMAND, AT + 9 * COMMAND_BYTES)


def test_wrong_hash():
    other = dataclasses.replace(CONFIG, wgt_depth=CONFIG.wgt_depth * 2)
    machine = Machine(program(*tiles(2), config=other))
    stopped(machine, machine.run(2000), Error.CONFIG_HASH, AT)
    assert not machine.issued


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest.mark.parametrize("clock", [8, 60])
def test_bus_error(kind, clock):
    """Error of a fetch or of a unit's burst; it is reported once, also if more come."""
    machine = Machine(program(*tiles(40)), durations=(3, 9))
    first = {f"bus_{kind}_error": 1, f"bus_{kind}_addr": 0xBAD0}
    machine.inputs = {clock: first, clock + 5: {"bus_read_error": 1, "bus_read_addr": 4}}
    code = Error.BUS_READ if kind == "read" else Error.BUS_WRITE
    stopped(machine, machine.run(2000), code, 0xBAD0)


@pytest.mark.parametrize("progress", [False, True])
def test_watchdog(progress):
    """Stops when nothing moves for watchdog_cycles; a beat on the bus puts it off."""
    machine = Machine(program(assemble(Opcode.CONV, wait=mask(Semaphore.WGT_FULL))))
    late = CONFIG.watchdog_cycles // 2 if progress else 0
    if progress:
        machine.inputs = {late: {"progress": 1}}
    status = machine.run(3 * CONFIG.watchdog_cycles)
    info = AT + 2 * COMMAND_BYTES  # END, which waits for CONV
    stopped(machine, status, Error.WATCHDOG, info)
    first = next(n for n, h in enumerate(machine.history) if h["error"])
    assert 0 <= first - late - CONFIG.watchdog_cycles <= WATCHDOG_SLACK


@pytest.mark.parametrize("when", [10, 40, 90])
def test_recovers_by_reset(when):
    """After an error, a soft reset and a start run the next program."""
    good = program(*tiles(3), assemble(Opcode.LAYER, layer_id=3))
    machine = Machine(program(*tiles(30)), seed=when, stalls=0.3)
    machine.inputs = {
        when: {"bus_read_error": 1, "bus_read_addr": 64},
        when + 100: {"reset": 1, "image": good},
        when + 103: {"start": 1},
    }
    status = machine.run(2000, until=lambda status: status["done"])
    assert machine.history[when + 99]["error"]
    assert status["done"] and not status["error"] and status["layer_id"] == 3


def test_start_again():
    """A second start, without reset, runs the program a second time."""
    machine = Machine(program(*tiles(2), assemble(Opcode.LAYER, layer_id=5)))
    machine.inputs = {600: {"image": machine.image, "start": 1}}
    status = machine.run(1500, until=lambda status: len(machine.history) > 1200)
    assert status["done"] and not status["error"] and len(machine.events) == 2
    assert len(machine.issued) == 16
    assert machine.history[599]["done"] and not machine.history[605]["done"]


@pytest.mark.parametrize(
    ("opcode", "semaphore", "flag"),
    [
        (Opcode.CONV, Semaphore.IFMAP_FULL, "wait_read"),
        (Opcode.CONV, Semaphore.WGT_FULL, "wait_read"),
        (Opcode.CONV, Semaphore.PSUM_FREE, "wait_psum"),
        (Opcode.DRAIN, Semaphore.OFMAP_FREE, "wait_store"),
    ],
)
def test_says_what_it_waits_for(opcode, semaphore, flag):
    machine = Machine(program(assemble(opcode, wait=mask(semaphore))))
    machine.run(400)
    seen = {name for name in WAITS if machine.history[399][name]}
    no_compute_command = {"wait_read"} if opcode == Opcode.DRAIN else set()
    assert seen == {flag} | no_compute_command
