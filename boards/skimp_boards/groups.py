"""The parts of an accelerator that a table of its area adds up, and whose blocks are whose."""

__all__ = ["GROUPS", "REST", "group_of"]

GROUPS = {
    "array chain": "pe_chain pe_array",
    "depthwise unit": "dw_pair dw_max dw_sum dw_lanes dw_feed dw_control dw_unit",
    "requantisation": "requant_lane narrow_requant_lane requant add_tables drain_unit",
    "codec": "rlc_decoder rlc_encoder unit_reader unit_writer",
    "DMA": "load_unit linear_unit store_unit axi_reader axi_writer",
    "sequencer": "sequencer csr",
    "buffers": "psum_spad wgt_spad ifmap_glb dw_wgt_spad dw_psums dw_glb param_sets ofmap "
    "residual act_store",
}
"""Group -> its blocks."""

REST = "rest"

_GROUP = {block: group for group, names in GROUPS.items() for block in names.split()}


def group_of(block: str) -> str:
    """Return the group of a block; "rest" is feeds and control of the array, the core, the board."""
    return _GROUP.get(block, REST)
