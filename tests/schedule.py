"""Commands of a program under any timing: bounded queues, units beside each other."""

from collections import Counter, deque

from skimp.isa import (
    CHANNELS,
    COMMAND_BYTES,
    COMMANDS,
    MAX_COUNT,
    Opcode,
    Semaphore,
    Unit,
    parse,
)
from skimp_compiler.program import DeviceStep, Program


def commands(program: Program, step: DeviceStep):
    """Return (opcode, fields) of every command of a device step."""
    start = step.address
    return [
        parse(program.image[start + n * COMMAND_BYTES : start + (n + 1) * COMMAND_BYTES])
        for n in range(step.num_commands)
    ]


def edges(stream):
    """Return (poster, taker, semaphore) of every order that a stream's semaphores make.

    Numbers of commands; the n-th wait for a semaphore takes its n-th post.
    """
    posted = {s: deque() for s in Semaphore}
    found = []
    for n, (_, fields) in enumerate(stream):
        for s in Semaphore:
            if fields["wait"] >> s & 1:
                found.append((posted[s].popleft(), n, s))
        for s in Semaphore:
            if fields["post"] >> s & 1:
                posted[s].append(n)
    return found


def without_edge(stream, edge):
    """Return the stream without one post and the wait that takes it."""
    poster, taker, semaphore = edge
    changed = list(stream)
    for number, key in ((poster, "post"), (taker, "wait")):
        opcode, fields = changed[number]
        changed[number] = opcode, fields | {key: fields[key] & ~(1 << semaphore)}
    return changed


def run_schedule(stream, *, queue_depth: int, rng) -> None:
    """Run the commands with a random unit ahead each time; fail where nothing can proceed.

    The sequencer hands out commands in order and blocks on a full queue; a unit takes what its
    first command waits for, completes it at a random time, then posts. STORED comes later still:
    once the writes are acknowledged, in order. END waits until everything is done.
    """
    queues = {unit: deque() for unit in Unit if unit not in (Unit.SEQUENCER, Unit.MEMORY)}
    running = {}
    written = deque()
    counts = Counter()
    # Every command's semaphores once: what it waits for, what it posts.
    waits = [[s for s in Semaphore if fields["wait"] >> s & 1] for _, fields in stream]
    posts = [
        [(source, s) for (source, _), s in CHANNELS.items() if fields["post"] >> s & 1]
        for _, fields in stream
    ]
    stream = deque(enumerate(stream))

    def post(number, semaphore):
        counts[semaphore] += 1
        assert counts[semaphore] <= MAX_COUNT, f"command {number}: {semaphore.name} overflows"

    while stream or running or written or any(queues.values()):
        moves = [("end", unit) for unit in running]
        moves += [("written", Unit.MEMORY)] * bool(written)
        for unit, queue in queues.items():
            ready = queue and unit not in running
            if ready and all(counts[s] for s in waits[queue[0]]):
                moves.append(("start", unit))
        if stream:
            unit = COMMANDS[stream[0][1][0]].unit
            idle = not (running or written or any(queues.values()))
            if len(queues[unit]) < queue_depth if unit in queues else idle or stream[0][0] == 0:
                moves.append(("issue", unit))
        if not moves:
            heads = {unit.name: queue[0] for unit, queue in queues.items() if queue}
            raise AssertionError(
                f"nothing can proceed: first commands {heads}, counters {dict(counts)}"
            )
        move, unit = moves[rng.integers(len(moves))]
        if move == "issue":
            number, (opcode, _) = stream.popleft()
            if unit in queues:
                queues[unit].append(number)
            else:
                assert opcode in (Opcode.CHECK, Opcode.END)
        elif move == "start":
            running[unit] = queues[unit].popleft()
            for s in waits[running[unit]]:
                counts[s] -= 1
        elif move == "written":
            post(written.popleft(), Semaphore.STORED)
        else:
            number = running.pop(unit)
            for source, s in posts[number]:
                if source is Unit.MEMORY:
                    written.append(number)
                else:
                    post(number, s)
    assert not any(counts.values()), f"posts that nobody takes: {dict(counts)}"
