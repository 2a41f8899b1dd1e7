"""Ports that the array unit, the depthwise unit and their controls have in common."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS
from skimp.feed.glb_address import BANK_BITS, ROW_BITS
from skimp.isa import MASK_BITS

__all__ = ["connect_reads", "connect_unit", "linear_ports", "read_ports", "unit_ports"]


def unit_ports() -> dict:
    """Return the members towards the sequencer."""
    return {
        "command": In(stream.Signature(COMMAND_BITS)),
        "post": Out(MASK_BITS),
        "idle": Out(1),
        "waiting": Out(1),
    }


def connect_unit(m, outer, inner):
    """Let `inner` be behind the members of `unit_ports` of `outer`."""
    wiring.connect(m, wiring.flipped(outer.command), inner.command)
    for name in ("post", "idle", "waiting"):
        m.d.comb += getattr(outer, name).eq(getattr(inner, name))


def linear_ports(config: Config) -> dict:
    """Return the members that take the beats of LOAD_LINEAR."""
    return {
        "lin_w_en": In(1),
        "lin_w_target": In(2),
        "lin_w_addr": In(24),
        "lin_w_data": In(config.bus_bits),
    }


def read_ports(config: Config, *, channels: int, rows: int = 1) -> dict:
    """Return the members by which a control reads an `IfmapPath`; macs_per_act is not among them.

    Parameters
    ----------
    config : Config
    channels : int
        Of a word.
    rows : int
        Rows of output pixels that take the same words.
    """
    return {
        "bank": Out(BANK_BITS),
        "row": Out(ROW_BITS).array(config.pixels),
        "lane_en": Out(config.pixels).array(rows),
        "in_zp": Out(signed(8)),
        "ci_en": Out(channels),
    }


def connect_reads(m, source, target):
    """Drive the members of `read_ports` of `target` from those of `source`."""
    for name in ("bank", "in_zp", "ci_en"):
        m.d.comb += getattr(target, name).eq(getattr(source, name))
    for name in ("row", "lane_en"):
        for ours, theirs in zip(getattr(target, name), getattr(source, name), strict=True):
            m.d.comb += ours.eq(theirs)
