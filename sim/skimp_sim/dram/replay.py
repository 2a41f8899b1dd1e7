"""Play a list of bursts into the memory as a bus master would, from event to event."""

from collections.abc import Iterable
from typing import NamedTuple

from skimp_sim.dram.ddr4 import Burst, Ddr4

__all__ = ["Request", "replay"]


class Request(NamedTuple):
    """A burst that a master wants: not before fabric clock `clock`."""

    clock: int
    is_write: bool
    address: int
    beats: int


def replay(memory: Ddr4, requests: Iterable[Request]) -> list[Burst]:
    """Submit all requests, in order within each direction; return their bursts in that order.

    A master with independent channels: in each fabric clock at most one read address, and one beat
    of write data of the bursts in order. Write data of a burst start in its clock or behind those
    of the burst before; the burst is submitted with its last beat. What finds its queue full is
    tried again in every clock. (The write data of the next burst wait for the refused one.) A write
    goes before a read of the same clock.

    The event loop is the way to use `Ddr4` from any event-driven model: advance to whatever comes
    first of the model's next event and the memory's next decision.
    """
    requests = list(requests)
    bursts: list[Burst | None] = [None] * len(requests)
    streams = [[i for i, r in enumerate(requests) if r.is_write == w] for w in (False, True)]
    at = [0, 0]  # next of each stream
    free = [0, 0]  # first clock in which the channel is free
    while True:
        wanted = [None, None]
        for w in (0, 1):
            if at[w] < len(streams[w]):
                r = requests[streams[w][at[w]]]
                start = max(r.clock, free[w])
                wanted[w] = start + r.beats - 1 if w else start
        times = [memory.next_decision()]
        for w in (0, 1):
            room = memory.room(w)
            if wanted[w] is not None and room is not None:
                times.append(max(wanted[w], room))
        times = [t for t in times if t is not None]
        if not times:
            return bursts
        now = max(min(times), memory.now)
        memory.advance(now)
        for w in (1, 0):
            if wanted[w] is not None and wanted[w] <= now and memory.can_submit(now, bool(w)):
                r = requests[streams[w][at[w]]]
                bursts[streams[w][at[w]]] = memory.submit(now, bool(w), r.address, r.beats)
                at[w] += 1
                free[w] = now + 1
