"""Places of block RAMs and multipliers, found before nextpnr places the rest.

nextpnr's analytical placers spread the logic first and then look for a free site for each large
cell near where it would be. Where most sites are taken (here over 80 %, in rows far apart) the
wires of the whole design end up half as long again, and routing takes them as they are. So the
large cells get their sites first: quadratic placement with edges weighted by their lengths, so that
it is the sum of lengths that becomes small (Kraftwerk2, "bound to bound", Spindler et al., IEEE
TCAD 2008, in the simpler form of a star for each net), pulled more and more towards the best
assignment of sites to large cells (as SimPL does with its upper bound, Kim et al., IEEE TCAD 2012).
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import cg

from skimp_boards.ecp5_sites import Site

__all__ = ["place_macros"]

_ROUNDS = 24
_ROUNDS_BY_RANK = 6
"""Rounds in which order counts as much as place: all begins in the middle."""
_FIRST_PULL = 0.02
_PULL_GROWTH = 1.35
_MOST_STEPS = 50
"""Of conjugate gradients; each round goes on from the one before."""
_TOLERANCE = 1e-4
_MOST_PINS = 400
"""Nets with more tell nothing of where their cells belong."""
_DECIMALS = 2
"""To which places are rounded: sums differ in their last bits from one machine to the next."""
_SLACK = 1e-6
"""Weight of the middle of the device, for cells that hang on nothing."""


class _Wires:
    """The nets as edges: between two cells, or from each cell to the net's own point."""

    def __init__(self, nets: list[list[int]], num_cells: int):
        pairs = [net for net in nets if len(net) == 2]
        stars = [net for net in nets if len(net) > 2]
        self.num_cells = num_cells
        self.num_points = num_cells + len(stars)
        centres = np.repeat(np.arange(len(stars)), [len(net) for net in stars]) + num_cells
        ends = np.array(pairs, dtype=int).reshape(-1, 2)
        self._a = np.concatenate([ends[:, 0], np.concatenate([[], *stars]).astype(int)])
        self._b = np.concatenate([ends[:, 1], centres])

    def settle(self, x: np.ndarray, pull: np.ndarray, target: np.ndarray, middle: float):
        """Return where one coordinate of all points comes to rest.

        pull: weight of the spring from each cell to its target.
        """
        weight = 1 / np.maximum(np.abs(x[self._a] - x[self._b]), 1.0)
        shape = (self.num_points, self.num_points)
        half = coo_array((weight, (self._a, self._b)), shape=shape).tocsr()
        edges = half + half.T
        diagonal = edges.sum(axis=1) + _SLACK
        force = np.full(self.num_points, _SLACK * middle)
        diagonal[: self.num_cells] += pull
        force[: self.num_cells] += pull * target
        found, _ = cg(
            diags_array(diagonal) - edges,
            force,
            x0=x,
            rtol=_TOLERANCE,
            maxiter=_MOST_STEPS,
            M=diags_array(1 / diagonal),
        )
        return found.round(_DECIMALS)


def _assign(points: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """Return the site of each point so that the sum of their distances is least."""
    return linear_sum_assignment(np.abs(points[:, None] - sites[None]).sum(axis=2))[1]


def _by_rank(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return points half way to where they were if they lay evenly over the device."""
    ranks = points.argsort(axis=0).argsort(axis=0) + 0.5
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.maximum(high - low, 1e-9)
    return (ranks / len(points) + scaled) / 2 * size


def place_macros(cells: dict, sites: dict[str, list[Site]], *, seed: int) -> dict[str, str]:
    """Return cell -> name of its site, for all cells of the types that `sites` has.

    Parameters
    ----------
    cells : dict
        Of a module that Yosys wrote: name -> {"type", "connections", ...}.
    sites : dict
        Type -> its sites on the device, at least as many as cells.
    seed : int
        Of the places to begin with.
    """
    names = [name for name, cell in cells.items() if cell["connections"]]
    nets: dict[int, set[int]] = {}
    for number, name in enumerate(names):
        for bits in cells[name]["connections"].values():
            for bit in bits:
                if isinstance(bit, int):
                    nets.setdefault(bit, set()).add(number)
    wires = _Wires([sorted(n) for n in nets.values() if 2 <= len(n) <= _MOST_PINS], len(names))
    groups = []
    for kind, places in sites.items():
        found = np.array([n for n, name in enumerate(names) if cells[name]["type"] == kind], int)
        if len(found):
            groups.append((found, np.array([(site.x, site.y) for site in places], float), places))
    if not groups:
        return {}
    macros = np.concatenate([found for found, _, _ in groups])
    size = np.max([spots.max(axis=0) for _, spots, _ in groups], axis=0)
    rng = np.random.default_rng(seed)
    at = rng.uniform(0.3, 0.7, (wires.num_points, 2)) * size
    target = np.zeros((len(names), 2))
    target[macros] = rng.uniform(0, 1, (len(macros), 2)) * size
    pull = np.zeros(len(names))
    for nth in range(_ROUNDS):
        pull[macros] = _FIRST_PULL * _PULL_GROWTH**nth
        for axis in range(2):
            at[:, axis] = wires.settle(at[:, axis], pull, target[:, axis], size[axis] / 2)
        wanted = at[: len(names)].copy()
        if nth < _ROUNDS_BY_RANK:
            wanted[macros] = _by_rank(wanted[macros], size)
        chosen = [_assign(wanted[found], spots) for found, spots, _ in groups]
        for (found, spots, _), numbers in zip(groups, chosen, strict=True):
            target[found] = spots[numbers]
    return {
        names[cell]: places[number].bel
        for (found, _, places), numbers in zip(groups, chosen, strict=True)
        for cell, number in zip(found, numbers, strict=True)
    }
