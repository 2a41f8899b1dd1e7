"""Sequencer with a memory and six dummy units: order, semaphores, the end, every error."""

import dataclasses
import random

import pytest
from amaranth import *
from amaranth.sim import Simulator
from testconfigs import ODD, WIDE

from skimp.configs import PRESETS
from skimp.ctrl.sequencer import FETCH_AHEAD, FETCH_COMMANDS, NUM_UNITS, UNIT_ORDER, Sequencer
from skimp.isa import COMMAND_BYTES, COMMANDS, Error, Opcode, Semaphore, Unit, assemble, parse

CONFIG = dataclasses.replace(ODD, watchdog_cycles=1024)
WATCHDOG_SLACK = 50
AT = 0x4000
"""Address of the program."""

STATUS = ("busy", "done", "error", "error_code", "error_info", "stop")
WAITS = ("wait_read", "wait_psum", "wait_store")


def mask(*semaphores):
    return sum(1 << s for s in semaphores)


def program(*commands, config=CONFIG):
    """CHECK, the commands and END; behind it lie zeros, which are no commands."""
    check = assemble(Opcode.CHECK, hash=config.hash)
    return b"".join([check, *commands, assemble(Opcode.END)])


class Machine:
    """A sequencer with everything around it, in Python; the last run's story is kept.

    Parameters
    ----------
    image : bytes
        Program at `AT`.
    stalls : float
        Share of clocks in which memory and units stall.
    durations : tuple of int
        Clocks that a command takes, least and most.
    acknowledged : int
        Clocks from the end of a command that posts STORED to that post, which comes from the
        memory; the store unit is not idle before.
    """

    def __init__(
        self, image, *, config=CONFIG, seed=0, stalls=0.0, durations=(1, 6), acknowledged=30
    ):
        self.image, self.config, self.stalls, self.durations = image, config, stalls, durations
        self.acknowledged = acknowledged
        self.rng = random.Random(seed)
        self.inputs = {}  # inputs for one clock, by clock
        self.issued = []  # (clock, unit, command number)
        self.finished = []
        self.stored = []  # clocks in which the memory posts
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

    def first(self, flag):
        """Clock in which a flag of the status is seen first."""
        return next(n for n, status in enumerate(self.history) if status[flag])

    def _idle(self):
        self.beats, self.running = [], [None] * NUM_UNITS
        self.on_the_way = []  # clocks in which the memory is going to post STORED
        self.counts = dict.fromkeys(Semaphore, 0)
        self.next_command = [0] * NUM_UNITS
        whole = range(0, len(self.image), COMMAND_BYTES)
        self.commands = [self.image[i : i + COMMAND_BYTES] for i in whole]

    def _before(self, ctx, clock):
        """Inputs of this clock."""
        seq, rng = self.sequencer, self.rng
        inputs = {"start": int(clock == 2)} | self.inputs.get(clock, {})
        for name in "start progress bus_read_error bus_write_error".split():
            ctx.set(getattr(seq, name), inputs.get(name, 0))
        for name in ("bus_read_addr", "bus_write_addr"):
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
        posts = [0] * NUM_UNITS
        for u in range(NUM_UNITS):
            busy = self.running[u]
            if busy is not None and busy[0] == 0:
                posts[u] = busy[1]["post"]
                if posts[u] & mask(Semaphore.STORED):
                    posts[u] -= mask(Semaphore.STORED)
                    self.on_the_way.append(clock + self.acknowledged)
                self.finished.append((clock, UNIT_ORDER[u], busy[2]))
                self.running[u] = busy = None
            ctx.set(seq.posts[u], posts[u])
            ctx.set(seq.commands[u].ready, busy is None and rng.random() >= self.stalls)
            waits = UNIT_ORDER[u] is Unit.STORE and self.on_the_way
            idles |= (busy is None and not waits) << u
        stored = clock in self.on_the_way
        if stored:
            self.on_the_way.remove(clock)
            self.stored.append(clock)
        ctx.set(seq.memory_post, mask(Semaphore.STORED) if stored else 0)
        for post in [*posts, mask(Semaphore.STORED) if stored else 0]:
            for s in Semaphore:  # seen from the next clock on
                self.counts[s] += 0x100 * (post >> s & 1)
        ctx.set(seq.idles, idles)

    valid_held = False

    async def _clock(self, ctx, clock):
        seq = self.sequencer
        watched = [seq.segments.valid, seq.segments.ready, seq.segments.payload, seq.beats.ready]
        for u in range(NUM_UNITS):
            out = seq.commands[u]
            watched += [out.valid, out.ready, out.payload]
        watched += [getattr(seq, n) for n in (*STATUS, *WAITS, "event", "inc_command")]
        _, _, *values = await ctx.tick().sample(*watched)
        seg_valid, seg_ready, segment, beat_ready = values[:4]
        names = (*STATUS, *WAITS, "event", "inc_command")
        status = dict(zip(names, values[4 + 3 * NUM_UNITS :], strict=True))
        self.history.append(status)
        if status["event"]:
            self.events.append(clock)
        self.num_fetched += status["inc_command"]
        if self.valid and beat_ready:
            self.beats.pop(0)
        self.valid_held = self.valid and not beat_ready
        if seg_valid and seg_ready:
            self.asked.append((clock, segment.addr))
            at, size = segment.addr - AT, self.config.bus_bytes
            length = FETCH_COMMANDS * COMMAND_BYTES
            assert segment.beats * size == length
            assert at >= 0
            part = self.image[at : at + length].ljust(length, b"\0")
            self.beats += [
                int.from_bytes(part[i : i + size], "little") for i in range(0, length, size)
            ]
        for u in range(NUM_UNITS):
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


def tiles(num_tiles, *, ahead=2):
    """Two layers beside each other: each tile of both goes through the units."""
    sem = Semaphore
    stages = (
        (
            Opcode.LOAD_IFMAP, (), (sem.IFMAP_FREE, sem.DW_IFMAP_FREE),
            (sem.IFMAP_FULL, sem.DW_IFMAP_FULL),
        ),
        (
            Opcode.LOAD_LINEAR, (), (sem.WGT_FREE, sem.DW_WGT_FREE),
            (sem.WGT_FULL, sem.DW_WGT_FULL),
        ),
        (
            Opcode.CONV, (sem.IFMAP_FULL, sem.WGT_FULL), (sem.PSUM_FREE,),
            (sem.IFMAP_FREE, sem.WGT_FREE, sem.PSUM_FULL),
        ),
        (
            Opcode.DEPTHWISE, (sem.DW_IFMAP_FULL, sem.DW_WGT_FULL), (sem.DW_PSUM_FREE,),
            (sem.DW_IFMAP_FREE, sem.DW_WGT_FREE, sem.DW_PSUM_FULL),
        ),
        (
            Opcode.DRAIN, (sem.PSUM_FULL, sem.DW_PSUM_FULL), (sem.OFMAP_FREE,),
            (sem.PSUM_FREE, sem.DW_PSUM_FREE, sem.OFMAP_FULL),
        ),
        (Opcode.STORE, (sem.OFMAP_FULL,), (), (sem.OFMAP_FREE, sem.STORED)),
    )  # fmt: skip
    commands = []
    for n in range(num_tiles):
        for opcode, full, free, posts in stages:
            wait = mask(*full)
            if n >= ahead:  # what the tile before last took is free again
                wait |= mask(*free)
            commands.append(assemble(opcode, wait=wait, post=mask(*posts)))
    return commands


def ended(machine, status):
    """Hold what must be true of every program that went through."""
    assert status["done"] and not status["busy"] and not status["error"]
    assert len(machine.events) == 1
    units = [c for c in machine.commands if COMMANDS[Opcode(c[0])].unit is not Unit.SEQUENCER]
    assert len(machine.issued) == len(machine.finished) == len(units)
    last = max(clock for clock, *_ in machine.finished)
    assert machine.first("done") > max([last, *machine.stored]), "END did not wait"
    assert all(h["stop"] == 0 for h in machine.history)
    # Commands are fetched once each, in order, and not too many behind END.
    step = FETCH_COMMANDS * COMMAND_BYTES
    assert [addr for _, addr in machine.asked] == [AT + step * n for n in range(len(machine.asked))]
    assert machine.num_fetched == FETCH_COMMANDS * len(machine.asked)
    assert machine.num_fetched <= len(machine.commands) + FETCH_AHEAD


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("config", [ODD, WIDE, PRESETS["zcu104"]], ids=lambda c: c.name)
def test_programs_in_order(config, stalls):
    """Commands in program order within a unit, semaphores kept, END behind everything."""
    for seed in range(2):
        # What a layer leaves in the semaphores serves the next one: nothing is cleared between.
        layers = [tiles(5), tiles(1, ahead=0), tiles(9, ahead=0)]
        commands = []
        for n, layer in enumerate(layers):
            commands += [*layer, assemble(Opcode.LAYER, layer_id=100 + n)]
        image = program(*commands, config=config)
        machine = Machine(image, config=config, seed=seed, stalls=stalls)
        ended(machine, machine.run(5000))
        assert sum(c[0] == Opcode.LAYER for c in machine.commands) == 3


def test_units_overlap():
    """Six units with eight tiles take little more than eleven stages one behind the other."""
    machine = Machine(program(*tiles(8)), durations=(100, 100))
    ended(machine, machine.run(4000))
    first, last = machine.issued[0][0], machine.finished[-1][0]
    assert 1100 <= last - first < 1300


def test_layers_overlap():
    """LAYER is a command of the store unit like any other: nobody else waits for it."""
    layer = assemble(Opcode.LAYER, layer_id=1)
    machine = Machine(program(*tiles(2), layer, *tiles(2, ahead=0)), durations=(50, 50))
    ended(machine, machine.run(4000))
    number = next(n for n, c in enumerate(machine.commands) if c[0] == Opcode.LAYER)
    issued = {n: (clock, unit) for clock, unit, n in machine.issued}
    assert issued[number][1] is Unit.STORE
    behind = [clock for n, (clock, _) in issued.items() if n > number]
    assert min(behind) < issued[number][0] - 100


@pytest.mark.parametrize("acknowledged", [1, 200])
def test_stored_comes_from_the_memory(acknowledged):
    """A load that waits for what a store wrote; the store frees its buffer sooner."""
    store = assemble(Opcode.STORE, post=mask(Semaphore.STORED, Semaphore.OFMAP_FREE))
    drain = assemble(Opcode.DRAIN, wait=mask(Semaphore.OFMAP_FREE))
    load = assemble(Opcode.LOAD_IFMAP, wait=mask(Semaphore.STORED))
    machine = Machine(program(store, drain, load), durations=(60, 60), acknowledged=acknowledged)
    ended(machine, machine.run(1000))
    (stored,) = machine.stored
    issued = {number: clock for clock, _, number in machine.issued}
    freed = next(clock for clock, unit, _ in machine.finished if unit is Unit.STORE)
    assert issued[2] == freed + 2 and issued[3] == stored + 2


@pytest.mark.parametrize("unit", UNIT_ORDER)
def test_end_waits_for_every_unit(unit):
    opcode = next(c.opcode for c in COMMANDS.values() if c.unit == unit)
    machine = Machine(program(assemble(opcode)), durations=(300, 300))
    ended(machine, machine.run(1000))
    assert 300 < machine.first("done") < 300 + 8 * CONFIG.queue_depth + 60


def test_end_waits_for_a_full_queue():
    """More commands than a queue holds, before those of another unit, and END behind both."""
    commands = [assemble(Opcode.DRAIN)] * (4 * CONFIG.queue_depth) + [assemble(Opcode.CONV)] * 2
    machine = Machine(program(*commands), durations=(40, 40))
    ended(machine, machine.run(2000))
    drains = [clock for clock, unit, _ in machine.issued if unit is Unit.DRAIN]
    convs = [clock for clock, unit, _ in machine.issued if unit is Unit.ARRAY]
    assert drains[-CONFIG.queue_depth - 3] < convs[0], "dispatch is not in order"


def test_start_clears_semaphores():
    """What one program posted for nobody does not start a command of the next."""
    leftover = program(assemble(Opcode.LOAD_LINEAR, post=mask(Semaphore.WGT_FULL)))
    needs = program(assemble(Opcode.CONV, wait=mask(Semaphore.WGT_FULL)))
    machine = Machine(leftover)
    machine.inputs = {200: {"image": needs, "start": 1}}
    status = machine.run(CONFIG.watchdog_cycles + 1000, until=lambda status: status["error"])
    assert status["error_code"] == Error.WATCHDOG
    assert [unit for _, unit, _ in machine.issued] == [Unit.WGT]


def stopped(machine, status, code, info):
    """Hold what must be true of every error."""
    assert status["error"] and not status["busy"] and not status["done"]
    assert (status["error_code"], status["error_info"]) == (code, info)
    assert len(machine.events) == 1
    first = machine.first("stop")
    assert all(clock < first for clock, *_ in machine.issued), "a command starts behind the error"
    assert all(clock < first for clock, _ in machine.asked), "a fetch starts behind the error"


@pytest.mark.parametrize("opcode", [0, max(Opcode) + 1, 255])
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_bad_opcode(opcode, stalls):
    bad = bytes([opcode]) + bytes(COMMAND_BYTES - 1)
    machine = Machine(program(*tiles(2), bad, *tiles(2)), stalls=stalls)
    stopped(machine, machine.run(2000), Error.BAD_COMMAND, AT + 13 * COMMAND_BYTES)


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
    assert status["done"] and not status["error"]
    assert len([clock for clock, *_ in machine.issued if clock > when + 103]) == 19


def test_start_again():
    """A second start, without reset, runs the program a second time."""
    machine = Machine(program(*tiles(2)))
    machine.inputs = {600: {"image": machine.image, "start": 1}}
    status = machine.run(1500, until=lambda status: len(machine.history) > 1200)
    assert status["done"] and not status["error"] and len(machine.events) == 2
    assert len(machine.issued) == 24
    assert machine.history[599]["done"] and not machine.history[605]["done"]


CONV_WAITS = [
    ((), {"wait_read"}),
    ((Semaphore.IFMAP_FULL,), {"wait_read"}),
    ((Semaphore.WGT_FULL, Semaphore.PSUM_FREE), {"wait_read", "wait_psum"}),
    ((Semaphore.PSUM_FREE,), {"wait_psum"}),
]
"""What CONV waits for (nothing: there is no CONV), and what that alone means."""

DEPTHWISE_WAITS = [
    ((), {"wait_read"}),
    ((Semaphore.DW_WGT_FULL,), {"wait_read"}),
    ((Semaphore.DW_IFMAP_FULL, Semaphore.DW_PSUM_FREE), {"wait_read", "wait_psum"}),
    ((Semaphore.DW_PSUM_FREE,), {"wait_psum"}),
]


@pytest.mark.parametrize(("depthwise", "depthwise_means"), DEPTHWISE_WAITS)
@pytest.mark.parametrize(("conv", "conv_means"), CONV_WAITS)
def test_says_what_compute_waits_for(conv, conv_means, depthwise, depthwise_means):
    """wait_psum if one of the two units waits for psums, wait_read if none can go on without."""
    commands = [
        assemble(opcode, wait=mask(*waits))
        for opcode, waits in ((Opcode.CONV, conv), (Opcode.DEPTHWISE, depthwise))
        if waits
    ]
    machine = Machine(program(*commands))
    machine.run(200, until=lambda status: False)
    seen = {name for name in WAITS if machine.history[199][name]}
    both = (conv_means | depthwise_means) & {"wait_psum"}
    assert seen == both | (conv_means & depthwise_means & {"wait_read"})


def test_says_what_drain_waits_for():
    machine = Machine(program(assemble(Opcode.DRAIN, wait=mask(Semaphore.OFMAP_FREE))))
    machine.run(200)
    seen = {name for name in WAITS if machine.history[199][name]}
    assert seen == {"wait_store", "wait_read"}, "no command for array and depthwise unit"
