"""Which layer's next tile is emitted: layers that follow each other go side by side."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from skimp.isa import Unit
from skimp_compiler.emitter import Emitter

__all__ = ["LayerWork", "Schedule", "Task"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """The next tile of a layer: what it takes, and what it waits for.

    Parameters
    ----------
    cycles, load_cycles : int
        Of the unit that computes it, and of the loads before.
    needs : tuple
        Parts of activations that it loads, as the emitter's `loads`.
    room : tuple of (str, int) or (str, int, int)
        Memories and words that it places, and where it lets words go before.
    early : bool
        Nothing but a load of a part of what the tasks behind it compute with: as soon as the data
        is there, if layers before this one still find room.
    """

    cycles: int
    load_cycles: int = 0
    needs: tuple = ()
    room: tuple = ()
    early: bool = False


@dataclass(eq=False, kw_only=True)
class LayerWork:
    """A layer under way.

    Parameters
    ----------
    unit : Unit
        ARRAY or DEPTHWISE.
    tasks : iterator of Task
        Emits the commands of a task when it is asked for the next one.
    op_index : int
        Operator that the layer stands for.
    on_end : callable
        Called behind the last task.
    tile_words : int
        Of the ifmap buffer, for a tile.
    """

    unit: Unit
    tasks: Iterator[Task]
    op_index: int
    on_end: Callable[[], None]
    tile_words: int = 0
    task: Task | None = None

    def advance(self) -> bool:
        """Emit the present task; return whether there is another one."""
        self.task = next(self.tasks, None)
        return self.task is not None


class Schedule:
    """Emits tasks of the layers under way, in the order in which they could be loaded.

    Of two layers that could go on at once, the later one does: what it reads is there, and its end
    lets memory go. So an array that expands and projects turns from
    one to the other as the depthwise unit beside it gets on.

    Parameters
    ----------
    emitter : Emitter
    """

    def __init__(self, emitter: Emitter):
        self._emitter = emitter
        self.active: list[LayerWork] = []

    def begin(self, work: LayerWork) -> None:
        """Take a layer in, behind those under way."""
        self.active.append(work)
        if not work.advance():
            self._end(work)

    def step(self) -> None:
        """Emit what comes next: a task, or what follows one that is complete."""
        timeline, rings = self._emitter.timeline, self._emitter.rings
        best = None
        for order, work in enumerate(self.active):
            task = work.task
            ready = max((need[0].ready(*need[1:]) for need in task.needs if need), default=0)
            begin = timeline.begin(work.unit, ready)
            if begin == math.inf or not all(rings[r].fits(*words) for r, *words in task.room):
                continue
            if task.early and task.room:
                # Those before must come to their end, for this one waits for them.
                before = max((w.tile_words for w in self.active[:order]), default=0)
                if not rings["ifmap"].fits(work.tile_words + before):
                    continue
            key = (begin, -order)
            if best is None or key < best[0]:
                best = (key, work, ready)
        if timeline.next_held <= (math.inf if best is None else best[0][0]):
            if timeline.next_held == math.inf:
                raise AssertionError("no layer under way can go on")
            timeline.release()
            return
        _, work, ready = best
        if work.task.early:
            timeline.load(work.unit, ready, work.task.load_cycles)
        else:
            timeline.work(work.unit, ready, work.task.load_cycles, work.task.cycles)
        if not work.advance():
            self._end(work)

    def finish_first(self) -> None:
        """Emit tasks until the first layer under way is complete."""
        first = self.active[0]
        while first in self.active:
            self.step()

    def finish(self) -> None:
        """Emit all tasks."""
        while self.active:
            self.step()

    def _end(self, work: LayerWork) -> None:
        self.active.remove(work)
        self._emitter.timeline.release_until(self._emitter.timeline.free[work.unit])
        work.on_end()
