"""Toggles of the slices of each layer, from the golden model's values: no RTL needed.

Commands say how many clocks the slices work and how long their streams are; of the streams a few
are built from the values, tap by tap as the hardware walks, and counted (`streams`).
"""

from collections import Counter, defaultdict
from functools import cache

import numpy as np

from skimp.config import Config
from skimp.isa import Opcode
from skimp_compiler.graph import Graph, Op
from skimp_compiler.program import Program
from skimp_sim.golden.params import pads, pool_window
from skimp_sim.toggles.streams import array_toggles, depthwise_toggles
from skimp_sim.traffic import transfers

__all__ = ["SLICE_UNITS", "array_streams", "predict_toggles", "random_toggles"]

_UNITS = ("operands_ifmap", "operands_wgt", "products", "sums", "links")
SLICE_UNITS = (*_UNITS, *(f"dw_{unit}" for unit in _UNITS))
"""Of TOGGLE_UNITS, those that are predicted."""

_TILES, _PASSES, _PAIRS, _GROUPS, _CHANNELS = 8, 16, 4, 16, 8


def predict_toggles(graph: Graph, program: Program, values: dict) -> dict[int, Counter]:
    """Return the toggles of SLICE_UNITS by layer_id.

    Parameters
    ----------
    graph : Graph
    program : Program
    values : dict
        Activations by tensor number, of the golden model.
    """
    work = defaultdict(list)
    for transfer in transfers(graph, program):
        if transfer.command.opcode in (Opcode.CONV, Opcode.DEPTHWISE):
            work[transfer.layer_id].append(transfer.command)
    found = {}
    for number, commands in work.items():
        layer = program.layers[number]
        rng = np.random.default_rng(number)
        for opcode, predict in ((Opcode.CONV, _array), (Opcode.DEPTHWISE, _depthwise)):
            mine = [c for c in commands if c.opcode is opcode]
            if mine:
                toggles = predict(graph, program, layer, mine, values, rng)
                found[number] = found.get(number, Counter()) + toggles
    return found


@cache
def random_toggles(config: Config, *, clocks: int = 4096) -> dict[str, float]:
    """Return the toggles a MAC where operands are random and change with every product.

    Energies in tables are for such data.
    """
    rng = np.random.default_rng(0)
    acts = rng.integers(-128, 128, (clocks, config.pixels, config.in_channels))
    wgts = rng.integers(-127, 128, (clocks, config.in_channels, _PAIRS, 2))
    toggles = array_toggles(config, acts, wgts)
    macs = (clocks - 1) * config.macs_per_cycle
    found = {unit: toggles[unit] / macs for unit in _UNITS}
    acts = rng.integers(-128, 128, (clocks, config.pixels, config.out_channels))
    wgts = rng.integers(-127, 128, (clocks, config.out_channels))
    toggles = depthwise_toggles(config, acts, wgts, np.arange(clocks) % 9 == 0)
    macs = (clocks - 1) * config.pixels * config.out_channels
    return found | {f"dw_{unit}": toggles[unit] / macs for unit in _UNITS}


class _Map:
    """A layer's ifmap, centred and padded, where its windows begin, and its weights."""

    def __init__(self, graph: Graph, program: Program, op: Op, values: dict):
        index = op.inputs[0]
        x, self.wgt = values[index], graph.tensors[op.inputs[1]].data
        place = program.tensors.get(index)
        self.r = self.s = stride_h = stride_w = 1
        top = bottom = left = right = 0
        if op.kind == "fully_connected":
            self.wgt = self.wgt[:, None, None]
            x = x.reshape(1, -1, 1, self.wgt.shape[3])
        else:
            self.r, self.s, stride_h, stride_w = pool_window(graph, op)
            top, bottom, left, right = pads(graph, op)
        if place is not None and place.fold is not None and op.kind == "conv":
            x = place.fold.apply(x[0], place)[None]
            self.wgt = self.wgt.reshape(*self.wgt.shape[:2], 1, -1)
            self.s, stride_w, left, right = 1, 1, 0, 0
        x = x[0].astype(np.int64) - graph.tensors[index].zero_point
        self.x = np.pad(x, ((top, bottom), (left, right), (0, 0)))
        rows = (self.x.shape[0] - self.r) // stride_h + 1
        cols = (self.x.shape[1] - self.s) // stride_w + 1
        self.num_cols = cols
        grid = np.indices((rows, cols)).reshape(2, -1)
        self.rows, self.cols = grid[0] * stride_h, grid[1] * stride_w

    def lanes(self, rng, c, pixels: int, clocks: int) -> np.ndarray:
        """Return the output pixels of a tile as command c has it, anywhere: [clock, pixel]; -1: none."""
        count, total, width = c.num_pixels, len(self.rows), self.num_cols
        if c.tile_q > width:  # rows end to end
            first = int(rng.integers(max(1, total - count + 1)))
            tile = first + np.arange(min(count, total - first))
        else:
            rows, cols = divmod(np.arange(count), c.tile_q)
            first = int(rng.integers(max(1, total // width - rows[-1])))
            tile = (first + rows) * width + int(rng.integers(width - c.tile_q + 1)) + cols
            tile = tile[tile < total]
        which = np.full(clocks * pixels, -1)
        which[: len(tile)] = tile
        return which.reshape(clocks, pixels)

    def at(self, which: np.ndarray, r: int, s: int, channels: slice) -> np.ndarray:
        """Return the operands of a tap [*which, channel], 0 where there is no pixel or channel."""
        found = self.x[self.rows[which] + r, self.cols[which] + s, channels]
        found = np.where(which[..., None] >= 0, found, 0)
        short = channels.stop - channels.start - found.shape[-1]
        return np.pad(found, [(0, 0)] * which.ndim + [(0, short)])


def array_streams(graph, program, layer, commands, values, rng):
    """Yield some tiles of a layer as operands, clock by clock in the order of the commands.

    Parameters
    ----------
    graph : Graph
    program : Program
    layer : Layer
    commands : list
        CONV commands of the layer.
    values : dict
        Activations by tensor number.
    rng : np.random.Generator

    Yields
    ------
    tuple
        ifmap values [clock, pixel, in_channels], weights [clock, in_channels, pair, 2], and how
        many of the ifmap values are real.
    """
    config, op = program.config, graph.weighted_op(layer.op_indices)
    source = _Map(graph, program, op, values)
    words, depth = config.in_channels, source.x.shape[2]
    taps = [
        (block, r, s)
        for block in range(0, depth, words)
        for r in range(source.r)
        for s in range(source.s)
    ]
    works = np.array([_works(config, c) for c in commands], float)
    for _ in range(_TILES):
        command = commands[rng.choice(len(commands), p=works / works.sum())]
        clocks = _pass_clocks(config, command)
        which = source.lanes(rng, command, config.pixels, clocks)
        first = int(rng.integers(max(1, len(taps) - _PASSES + 1)))
        acts, wgts, real = [], [], 0
        low = 2 * rng.integers(-(-_num_outputs(graph, op) // 2), size=_PAIRS)
        for block, r, s in taps[first : first + _PASSES]:
            acts.append(source.at(which, r, s, slice(block, block + words)))
            now = _weights(graph, op, source.wgt, low, r, s, slice(block, block + words))
            wgts.append(np.broadcast_to(now, (clocks, *now.shape)))
            real += (which >= 0).sum() * min(words, depth - block)
        yield np.concatenate(acts), np.concatenate(wgts), real


def _array(graph, program, layer, commands, values, rng) -> Counter:
    """Toggles of all CONV commands of a layer, from a sample of their passes."""
    config = program.config
    # Pixels x channels x taps; and how many of the output channels beside them are real.
    works = np.array([_works(config, c) for c in commands], float)
    real = sum(works * [c.co_valid / config.out_channels for c in commands]) / works.sum()
    found, sampled = Counter(), 0
    for acts, wgts, operands in array_streams(graph, program, layer, commands, values, rng):
        found += array_toggles(config, acts, wgts)
        sampled += operands
    share = works.sum() / max(1, sampled)
    by_output = ("operands_wgt", "products", "sums")
    return Counter({u: n * share * (real if u in by_output else 1.0) for u, n in found.items()})


def _works(config: Config, c) -> int:
    channels = (c.num_c - 1) * config.in_channels + c.ci_last
    return channels * c.num_r * c.num_s * c.num_pixels


def _num_outputs(graph: Graph, op: Op) -> int:
    return graph.tensors[op.outputs[0]].shape[-1]


def _weights(graph, op, wgt, low: np.ndarray, r: int, s: int, channels: slice) -> np.ndarray:
    """Return the weights of pairs of output channels [channel, pair, 2]; 0 where there are none."""
    outputs, real = low[:, None] + np.arange(2), _num_outputs(graph, op)
    there, outputs = outputs < real, np.minimum(outputs, real - 1)
    if op.kind == "depthwise":  # on the array: a convolution with zeros between
        copies = real // graph.tensors[op.inputs[0]].shape[-1]
        mine = np.arange(channels.start, channels.stop)[:, None, None] == outputs // copies
        return wgt[0, r, s, outputs] * (mine & there)
    found = wgt[outputs, r, s, channels] * there[..., None]
    short = channels.stop - channels.start - found.shape[2]
    return np.pad(found, ((0, 0), (0, 0), (0, short))).transpose(2, 0, 1)


def _pass_clocks(config: Config, c) -> int:
    return max(-(-c.num_pixels // config.pixels), config.min_pass_cycles)


def _depthwise(graph, program, layer, commands, values, rng) -> Counter:
    """Toggles of all DEPTHWISE commands of a layer, from a sample of their pixel groups."""
    config, op = program.config, graph.weighted_op(layer.op_indices)
    if op is None or op.kind != "depthwise":
        return Counter()
    source = _Map(graph, program, op, values)
    wgt = source.wgt[0]
    channels = wgt.shape[2]
    copies = channels // source.x.shape[2]
    found, sampled = Counter(), 0
    for _ in range(_TILES):
        command = commands[rng.integers(len(commands))]
        groups = min(command.num_groups, _GROUPS)
        which = source.lanes(rng, command, config.pixels, command.num_groups)[:groups]
        some = rng.integers(channels, size=_CHANNELS)
        acts, wgts = [], []
        for r in range(source.r):
            for s in range(source.s):
                every = source.at(which, r, s, slice(0, source.x.shape[2]))
                acts.append(every[..., some // copies])
                wgts.append(np.broadcast_to(wgt[r, s, some], (groups, _CHANNELS)))
        taps = len(acts)
        # Taps of a pixel group follow each other.
        acts = np.stack(acts, axis=1).reshape(groups * taps, config.pixels, _CHANNELS)
        wgts = np.stack(wgts, axis=1).reshape(groups * taps, _CHANNELS)
        found += depthwise_toggles(config, acts, wgts, np.arange(len(acts)) % taps == 0)
        sampled += len(acts) * _CHANNELS
    work = sum(
        (c.num_r - c.lag) * c.num_s * -(-c.num_pixels // config.pixels)
        * c.ci_last * (2 if c.num_pixels2 else 1)
        for c in commands
    )  # fmt: skip
    share = work / max(1, sampled)
    return Counter({f"dw_{unit}": toggles * share for unit, toggles in found.items()})
