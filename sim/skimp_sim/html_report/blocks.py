"""Layers side by side as blocks: where shares of clocks and of gated MACs mean something.

Layers side by side end one soon after the other, and MACs are gated by time: a layer's own clocks
run from the end of the layer before to its own end, so that one layer by itself may have more MACs
than its clocks hold, or more gated ones than it has. A block is such layers from one on the array
to the next that does not come behind the depthwise unit: expanding, depthwise, projecting. Blocks
overlap a little, too, so their shares are not exact; those of the network are.
"""

from dataclasses import dataclass

from skimp_sim.report import LayerRow

__all__ = ["Block", "blocks_of"]


@dataclass(frozen=True)
class Block:
    """Rows of a report that follow each other, and the place of the first."""

    first: int
    rows: list[LayerRow]

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def name(self) -> str:
        return " + ".join(row.layer.name for row in self.rows)

    @property
    def macs(self) -> int:
        return sum(row.layer.macs for row in self.rows)

    @property
    def cycles(self) -> int:
        return sum(row.cycles for row in self.rows)

    def utilisation(self, peak: int) -> float | None:
        """MACs by clocks and peak; None: there are none."""
        return self.macs / (peak * self.cycles) if self.macs and self.cycles else None

    @property
    def gated(self) -> float | None:
        """Share of the MACs that is gated; None: it is not counted, or not here alone."""
        gated = sum(row.macs_gated for row in self.rows)
        return gated / self.macs if self.macs >= gated > 0 else None


def blocks_of(rows: list[LayerRow]) -> list[Block]:
    """Return all rows in blocks, in order."""
    layers = {row.layer.layer_id: row.layer for row in rows}
    found, before, on_array = [], None, False
    for place, row in enumerate(rows):
        if found and row.layer.unit == "none":  # costs nothing, and parts nothing
            found[-1].rows.append(row)
            continue
        root = row.layer
        while root.fused_with is not None:
            root = layers[root.fused_with]
        starts_again = row.layer.unit == "array" and on_array
        if root.layer_id != before or starts_again:
            found.append(Block(place, []))
        found[-1].rows.append(row)
        before = root.layer_id
        if row.layer.unit != "post":
            on_array = row.layer.unit == "array"
    return found
