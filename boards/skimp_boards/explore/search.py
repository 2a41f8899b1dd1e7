"""The search: every geometry first, then one field at a time around the best."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from skimp.config import Config
from skimp_boards.area import estimate
from skimp_boards.explore.evaluate import Point, evaluate
from skimp_boards.explore.space import Space

__all__ = ["pareto", "search"]

WORTH = 0.01
"""A change has to bring so much more images a second, or none lost and less area."""


def search(space: Space, *, jobs: int = 2, on_point: Callable | None = None) -> list[Point]:
    """Return all points that were looked at, the chosen one first.

    Parameters
    ----------
    space : Space
    jobs : int
        Processes.
    on_point : callable or None
        Called with (points so far, points asked for).
    """
    budget = space.budget
    points: dict[str, Point] = {}

    with ProcessPoolExecutor(jobs) as pool:

        def look(configs: list[Config]) -> None:
            fresh = {}
            for config in configs:
                area = estimate(config)["total"]
                share = max(_share(area[key], there) for key, there in budget.items())
                if config.to_json() not in points and share <= 1.0:
                    fresh[config.to_json()] = (config, area, share)
            asked = len(points) + len(fresh)
            work = [
                (key, pool.submit(evaluate, config, space.networks))
                for key, (config, _, _) in fresh.items()
            ]
            for key, future in work:
                config, area, share = fresh[key]
                points[key] = Point(config=config, area=area, share=share, **future.result())
                if on_point is not None:
                    on_point(len(points), asked)

        look([c for g in space.geometries if (c := space.of_geometry(*g)) is not None])
        large = [p for p in points.values() if p.config.macs_per_cycle >= space.least_macs]
        if not large:
            return []
        best = max(large, key=lambda p: p.images_per_second)
        while True:
            around = list(space.neighbours(best.config))
            look(around)
            known = [points[c.to_json()] for c in around if c.to_json() in points]
            better = [p for p in known if _better(p, best)]
            if not better:
                break
            best = max(better, key=lambda p: (p.images_per_second, -p.share))
    rest = sorted((p for p in points.values() if p is not best), key=lambda p: -p.images_per_second)
    return [best, *rest]


def _share(taken: float, there: float) -> float:
    if not taken:
        return 0.0
    return taken / there if there else float("inf")


def _better(point: Point, than: Point) -> bool:
    gain = point.images_per_second / than.images_per_second - 1
    return gain > WORTH or (gain >= -WORTH / 10 and _size(point) < 0.98 * _size(than))


def _size(point: Point) -> float:
    """One number for area: LUTs, and other parts by what they are worth on such devices."""
    area = point.area
    return area["lut"] + 130 * area["dsp"] + 700 * (area["bram36"] + 8 * area["uram"])


def pareto(points: list[Point]) -> list[Point]:
    """Return the points that no other one beats in images a second, energy and area at once."""
    front = []
    for p in points:
        beaten = any(
            q.images_per_second >= p.images_per_second
            and q.mean_energy <= p.mean_energy
            and q.share <= p.share
            and (q.images_per_second, q.mean_energy, q.share)
            != (p.images_per_second, p.mean_energy, p.share)
            for q in points
        )
        if not beaten:
            front.append(p)
    return sorted(front, key=lambda p: -p.images_per_second)
