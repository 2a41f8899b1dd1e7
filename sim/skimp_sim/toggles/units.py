"""Which unit a register of the RTL belongs to, by its place in the hierarchy."""

import re

__all__ = ["MEMORIES", "TOGGLE_UNITS", "memory_of", "unit_of"]

_RULES = (
    # slices of the array, packed or plain
    ("operands_ifmap", r"array\.array\.chain\S* (b_reg|act_\d+)$"),
    ("operands_wgt", r"array\.array\.chain\S* (a_reg|d_reg|ad_reg|next_\d+_\d|wgt_\d+_\d)$"),
    ("products", r"array\.array\.chain\S* (m_reg|product_\d+_\d)$"),
    ("sums", r"array\.array\.chain\S* (p|lower|dot\d|sum_\d+_\d)$"),
    ("sums", r"array\.array dot_\S+$"),
    ("control", r"array\.array\.chain"),
    # those of the depthwise unit: two activations and a weight
    ("dw_operands_ifmap", r"depthwise\.lanes\S*\.(pair|product)\S* (a_reg|d_reg|ad_reg|act\S*)$"),
    ("dw_operands_wgt", r"depthwise\.lanes\S*\.(pair|product)\S* (b\d?_reg|wgt\S*|digits?\S*)$"),
    ("control", r"depthwise\.lanes\S*\.pair\S* (gate_d\d|on_d\d|xy_is_m|w_is_rnd)$"),
    ("dw_products", r"depthwise\.lanes\S*\.(pair|product)"),
    ("dw_sums", r"depthwise\.lanes\S*\.sum"),
    # scratchpads with the adders and registers around them
    ("spad_psum", r"array\.psum|depthwise\.psums"),
    ("spad_wgt", r"array\.wgt_spad|depthwise\.wgt"),
    # from the buffers to the slices
    ("links", r"array\.array (act|gate)_"),
    ("links", r"array\.path\.feed act"),
    ("dw_links", r"depthwise\.path\.feed act"),
    ("glb", r"\.path\.glb|core\.ofmap|core\.residual"),
    ("act", r"core\.act"),
    ("requant", r"core\.drain\.(requant|params|tables)"),
    ("codec", r"\.(encoder|decoder)\b|core\.tile_table|core\.(load|store)\.units"),
    ("dma", r"core\.(load|store|linear|reader|writer)"),
    ("control", r""),
)

TOGGLE_UNITS = tuple(dict.fromkeys(unit for unit, _ in _RULES))
"""operands, products and sums of slices, links to them, memories with the registers at their ports,
requantisation, codec of coded activations, DMA, and what is left: control."""

_MEMORY_RULES = (
    ("ifmap", r"array\.path\.glb"),
    ("dw_ifmap", r"depthwise\.path\.glb"),
    ("ofmap", r"core\.ofmap"),
    ("residual", r"core\.residual"),
    ("wgt", r"array\.wgt_spad"),
    ("dw_wgt", r"depthwise\.wgt\S*\.ram"),
    ("psum", r"array\.psum\S*\.sums"),
    ("psum_done", r"array\.psum\S*\.finished"),
    ("dw_psum", r"depthwise\.psums"),
    ("act", r"core\.act\.ram"),
)

MEMORIES = tuple(name for name, _ in _MEMORY_RULES)
"""Memories whose accesses are counted: those of skimp_sim.counting, and the activation store."""

_PATTERNS = tuple((unit, re.compile(pattern)) for unit, pattern in _RULES)


def unit_of(path: str, register: str) -> str:
    """Return the unit of a register.

    Parameters
    ----------
    path : str
        Instances from the top module on, with dots.
    register : str
    """
    place = f"{path} {register}"
    return next(unit for unit, pattern in _PATTERNS if pattern.search(place))


def memory_of(path: str) -> str | None:
    """Return which of MEMORIES an instance is a part of; None: of another one."""
    return next((name for name, pattern in _MEMORY_RULES if re.search(pattern, path)), None)
