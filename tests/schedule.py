"""Commands of a program under any timing: bounded queues, units beside each other."""

from collections import Counter, deque

from skimp.isa import COMMAND_BYTES, COMMANDS, Opcode, Semaphore, Unit, parse
from skimp_compiler.program import DeviceStep, Program

MAX_COUNT = 255


def commands(program: Program, step: DeviceStep):
    """Return (opcode, fields) of every command of a device step."""
    start = step.address
    return [
        parse(program.image[start + n * COMMAND_BYTES : start + (n + 1) * COMMAND_BYTES])
        for n in range(step.num_commands)
    ]


def run_schedule(stream, *, queue_depth: int, rng) -> None:
    """Run the commands with a random unit ahead each time; fail where nothing can proceed.

    The sequencer hands out commands in order and blocks on a full queue; a unit takes what its
    first command waits for, completes it at a random time, then posts. LAYER and END wait until
    everything is done and clear the counters.
    """
    queues = {unit: deque() for unit in Unit if unit is not Unit.SEQUENCER}
    running = {}
    counts = Counter()
    stream = deque(enumerate(stream))
    while stream or running or any(queues.values()):
        moves = [("end", unit) for unit in running]
        for unit, queue in queues.items():
            if queue and unit not in running:
                wait = queue[0][1]["wait"]
                if all(counts[s] for s in Semaphore if wait >> s & 1):
                    moves.append(("start", unit))
        if stream:
            unit = COMMANDS[stream[0][1][0]].unit
            idle = not running and not any(queues.values())
            if len(queues[unit]) < queue_depth if unit in queues else idle or stream[0][0] == 0:
                moves.append(("issue", unit))
        heads = {unit.name: queue[0][0] for unit, queue in queues.items() if queue}
        assert moves, f"nothing can proceed: first commands {heads}, counters {dict(counts)}"
        move, unit = moves[rng.integers(len(moves))]
        if move == "issue":
            number, (opcode, fields) = stream.popleft()
            if unit in queues:
                queues[unit].append((number, fields))
            elif opcode is not Opcode.CHECK:
                counts.clear()
        elif move == "start":
            running[unit] = queues[unit].popleft()
            for s in Semaphore:
                counts[s] -= running[unit][1]["wait"] >> s & 1
        else:
            number, fields = running.pop(unit)
            for s in Semaphore:
                counts[s] += fields["post"] >> s & 1
                assert counts[s] <= MAX_COUNT, f"command {number}: {s.name} overflows"
