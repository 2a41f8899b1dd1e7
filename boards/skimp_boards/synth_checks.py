"""What synthesis must show of an accelerator, each statement with whether it holds."""

from dataclasses import dataclass

from skimp.config import CHAIN, Config
from skimp_boards.area import block_counts, fixed_area
from skimp_boards.devices import Device
from skimp_boards.netlist import Depth
from skimp_boards.synth_blocks import total

__all__ = ["MAX_LEVELS", "QUEUES", "REGISTER_MEMORIES", "Check", "checks", "expected_memories"]

MAX_LEVELS = 8
"""Levels of LUT and carry between two registers that 300 MHz should stand."""

REGISTER_MEMORIES: dict[str, str] = {}
"""Block and memory, "block memory", that may be flip-flops: why."""

QUEUES = {
    "drain_unit": "posts",
    "load_unit": "runs",
    "store_unit": "queue tickets",
    "axi_reader": "owners",
    "axi_writer": "lengths unanswered",
    "sequencer": "fetched queue_array.fifo queue_depthwise.fifo queue_drain.fifo queue_load.fifo "
    "queue_store.fifo queue_wgt.fifo",
    "unit_reader": "units wanted",
    "unit_writer": "bursts marks places",
    "rlc_decoder": "lane_0",
    "rlc_encoder": "bytes filled frames coder.planner.plans",
    "act_store": "queue",
}
"""Block -> its queues, small memories that must be LUT RAM, whatever the configuration."""

_ARRAY = ("pe_chain", "pe_array")
_WRONG = 4
"""Blocks that a line names at most."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A statement about a synthesis, and whether it holds."""

    text: str
    holds: bool


def expected_memories(config: Config, block: str) -> dict[str, float]:
    """Return the BRAM36, URAM288 and LUTs of LUT RAM that the configuration asks of a block.

    LUT RAM of queues (`QUEUES`) is not in it.
    """
    area = fixed_area(config, block)
    return {"bram36": area["bram36"], "uram": area["uram"], "lutram": area["lut"]}


def _none(what: str, wrong: dict[str, str]) -> Check:
    """Return the statement that there is none of something; block -> what it has."""
    if not wrong:
        return Check(text=f"{what}: none", holds=True)
    named = "; ".join(f"{block}: {text}" for block, text in list(wrong.items())[:_WRONG])
    more = f"; {len(wrong) - _WRONG} more" if len(wrong) > _WRONG else ""
    return Check(text=f"{what}: {named}{more}", holds=False)


def _budget(device: Device, found: dict[str, dict]) -> list[Check]:
    sums = total(found, device.family)
    return [
        Check(
            text=f"{device.family.columns[key]}: {sums[key]:,g} of {have:,} "
            f"({sums[key] / have:.1%}, at most {share:.0%})",
            holds=sums[key] <= device.budget[key],
        )
        for key, (have, share) in device.have.items()
    ]


def _misplaced(wanted: dict[str, float], queues: list[str], block: dict) -> list[str]:
    """Say which memories of a block are not where they should be."""
    wrong = [
        f"{key} {block[key]:g} instead of {number:g}"
        for key, number in wanted.items()
        if (block[key] < number if key == "lutram" and queues else block[key] != number)
    ]
    kinds = {name.rpartition(".")[0]: kind for name, kind in block["memories"].items()}
    return wrong + [
        f"{queue} {kinds.get(queue, 'nowhere')} instead of LUTRAM"
        for queue in queues
        if not kinds.get(queue, "").startswith("LUTRAM")
    ]


def _memories(config: Config, found: dict[str, dict]) -> Check:
    wrong = {}
    for name in block_counts(config):
        if name in found:
            queues = QUEUES.get(name, "").split()
            lines = _misplaced(expected_memories(config, name), queues, found[name])
            if lines:
                wrong[name] = ", ".join(lines)
    return _none("memories that are not what the configuration says", wrong)


def _register_memories(found: dict[str, dict]) -> Check:
    wrong = {}
    for name, block in found.items():
        bits = {
            memory: number
            for memory, number in block["memory_register_bits"].items()
            if f"{name} {memory}" not in REGISTER_MEMORIES
        }
        if bits:
            wrong[name] = ", ".join(f"{memory} ({number} bits)" for memory, number in bits.items())
    return _none("memories in flip-flops", wrong)


def _slices(config: Config, found: dict[str, dict]) -> list[Check]:
    number = sum(b["count"] * b["dsp"] for b in found.values())
    bare = sum(b["count"] * b["slices"]["unregistered"] for b in found.values())
    lines = [Check(text=f"slices fully registered: {number - bare} of {number}", holds=bare == 0)]
    if not config.packed or any(name not in found for name in _ARRAY):
        return lines
    array = [found[name] for name in _ARRAY]
    of_array = sum(b["count"] * b["dsp"] for b in array)
    macs = config.macs_per_cycle / of_array if of_array else 0.0
    in_luts = sum(b["count"] * b["slices"]["multipliers_left"] for b in array)
    preadding = sum(b["count"] * b["slices"]["preadding"] for b in array)
    chained = sum(b["count"] * CHAIN * b["slices"]["cascades"].get(str(CHAIN), 0) for b in array)
    return [
        *lines,
        Check(text=f"array: MACs per slice = {macs:.1f}", holds=macs == 2),
        Check(text=f"array: multipliers in LUTs = {in_luts}", holds=in_luts == 0),
        Check(
            text=f"array: pre-adder in {preadding} of {of_array} slices",
            holds=0 < preadding == of_array,
        ),
        Check(
            text=f"array: {chained} of {of_array} slices in cascades of {CHAIN}",
            holds=0 < chained == of_array,
        ),
    ]


def _levels(found: dict[str, dict]) -> list[Check]:
    deep = {
        name: f"{Depth(block['levels']).deepest} levels"
        for name, block in found.items()
        if Depth(block["levels"]).deepest > MAX_LEVELS
    }
    return [_none(f"paths of more than {MAX_LEVELS} levels", deep)]


def checks(config: Config, device: Device, found: dict[str, dict]) -> list[Check]:
    """Return what holds of the blocks that `synthesise` found, and what does not."""
    lines = _budget(device, found)
    if device.family.is_timed:
        lines += [*_levels(found), *_slices(config, found), _memories(config, found)]
    return [
        *lines,
        _register_memories(found),
        *(
            _none(what, {n: ", ".join(b[key]) for n, b in found.items() if b[key]})
            for what, key in (("latches", "latches"), ("nets with two drivers", "conflicts"))
        ),
    ]
