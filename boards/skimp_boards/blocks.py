"""The blocks that an accelerator consists of, for synthesis one by one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from amaranth.lib import wiring

from skimp.config import CHAIN, Config
from skimp.ctrl.array_control import ArrayControl
from skimp.ctrl.array_unit import ArrayUnit
from skimp.ctrl.csr import Csr
from skimp.ctrl.sequencer import Sequencer
from skimp.dma.axi_read import AxiReader
from skimp.dma.axi_write import AxiWriter
from skimp.dma.linear import LinearUnit
from skimp.dma.load import LoadUnit
from skimp.dma.store import StoreUnit
from skimp.dw.control import DepthwiseControl
from skimp.dw.lanes import DepthwiseLanes, DepthwiseSum, pair_of
from skimp.dw.psum import DepthwisePsums
from skimp.dw.unit import DepthwiseUnit, DepthwiseWeights
from skimp.feed.ifmap_feed import IfmapFeed
from skimp.feed.ifmap_glb import IfmapGlb
from skimp.mem.act_store import ActStore
from skimp.mem.pixel_ram import PixelRam
from skimp.pe.array import PeArray
from skimp.pe.chain import PeChain, PlainChain
from skimp.pe.psum_spad import PsumSpad
from skimp.pe.wgt_spad import WgtSpad
from skimp.post.add_tables import AddTables
from skimp.post.drain import DrainUnit
from skimp.post.params import ParamSets
from skimp.post.requant import Requant, RequantLane
from skimp.rlc.decoder import Decoder
from skimp.rlc.encoder import Encoder
from skimp.rlc.unit_reader import UnitReader
from skimp.rlc.unit_writer import UnitWriter
from skimp.top import Core
from skimp_boards.board import Board

__all__ = ["Block", "blocks", "board_blocks"]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part that is synthesised by itself.

    Parameters
    ----------
    name : str
    make : callable
        Returns the component.
    count : int
        How often the accelerator has it.
    without : tuple of str
        Submodules that are blocks of their own ("block.name", or "*.name" wherever they are), and
        lanes (how the names of their modules begin); they become black boxes.
    urams : bool
        The device has URAM288.
    """

    name: str
    make: Callable[[], wiring.Component]
    count: int = 1
    without: tuple[str, ...] = ()
    urams: bool = True


def _drain(config: Config) -> DrainUnit:
    return DrainUnit(config, psum_read_latency=PsumSpad.read_latency)


def _array_control(config: Config) -> ArrayControl:
    unit = ArrayUnit(config)
    for part in (unit, unit._array):
        part._MustUse__silence = True  # only asked for a number
    return ArrayControl(config, flight_cycles=unit.flight_cycles)


def _depthwise(config: Config) -> list[Block]:
    """Return the blocks of the depthwise unit, by row of lanes where there are two."""
    cfg = config
    rows = cfg.dw_rows
    lanes = cfg.pixels * cfg.out_channels
    pair, pair_name = pair_of(cfg)
    found = [
        Block(name="dw_pair", make=pair, count=rows * -(-cfg.pixels // 2) * cfg.out_channels),
        Block(name="dw_max", make=lambda: DepthwiseSum(maxima=True), count=lanes),
        Block(
            name="dw_lanes",
            make=lambda: DepthwiseLanes(cfg, maxima=True),
            count=rows,
            without=(pair_name, "skimp_dw_max"),
        ),
        Block(name="dw_wgt_spad", make=lambda: DepthwiseWeights(cfg)),
        Block(name="dw_psums", make=lambda: DepthwisePsums(cfg), count=rows),
        Block(
            name="dw_glb",
            make=lambda: IfmapGlb(cfg, depth=cfg.dw_ifmap_depth, blocks=cfg.ofmap_blocks),
        ),
        Block(
            name="dw_feed",
            make=lambda: IfmapFeed(cfg, channels=cfg.out_channels, rows=rows, macs_bits=1),
        ),
        Block(
            name="dw_control",
            make=lambda: DepthwiseControl(cfg, flight_cycles=DepthwiseUnit.flight_cycles),
        ),
        Block(
            name="dw_unit",
            make=lambda: DepthwiseUnit(cfg),
            without=(
                *(f"dw_unit.{name}" for name in ("control", "path.glb", "path.feed", "wgt")),
                *(f"dw_unit.{name}_{r}" for name in ("lanes", "psums") for r in range(rows)),
            ),
        ),
    ]
    if rows > 1:
        count = (rows - 1) * lanes
        found.append(Block(name="dw_sum", make=lambda: DepthwiseSum(maxima=False), count=count))
    return found


def blocks(config: Config) -> list[Block]:
    """Return the blocks of an accelerator; together they are all of it."""
    cfg = config
    slots = max(2, cfg.drain_pixels)
    tag_bits = 33  # DrainUnit's: two pixel numbers and a bit
    chain = PeChain if cfg.packed else PlainChain
    chain_name = "skimp_pe_chain" if cfg.packed else "skimp_plain_chain"
    num_chains = cfg.pixels * (cfg.in_channels // CHAIN) * cfg.out_channels // 2
    found = [
        Block(
            name="pe_chain",
            make=lambda: chain(wgt_slices=cfg.wgt_slices),
            count=num_chains,
        ),
        Block(name="pe_array", make=lambda: PeArray(cfg), without=(chain_name,)),
        Block(name="psum_spad", make=lambda: PsumSpad(cfg), count=cfg.pixels),
        Block(name="wgt_spad", make=lambda: WgtSpad(cfg)),
        Block(name="ifmap_glb", make=lambda: IfmapGlb(cfg, depth=cfg.ifmap_depth)),
        Block(name="ifmap_feed", make=lambda: IfmapFeed(cfg, channels=cfg.in_channels)),
        Block(name="array_control", make=lambda: _array_control(cfg)),
        Block(
            name="array_unit",
            make=lambda: ArrayUnit(cfg),
            without=(
                *(f"array_unit.{n}" for n in "control path.glb path.feed array wgt_spad".split()),
                "skimp_psum_spad",
            ),
        ),
        *_depthwise(cfg),
        Block(
            name="requant_lane",
            make=RequantLane,
            count=cfg.requant_lanes - cfg.narrow_requant_lanes,
        ),
        Block(
            name="requant",
            make=lambda: Requant(cfg, tag_bits=tag_bits),
            count=slots,
            without=("skimp_requant_lane",),
        ),
        Block(name="param_sets", make=lambda: ParamSets(cfg)),
        Block(name="add_tables", make=lambda: AddTables(cfg)),
        Block(
            name="drain_unit",
            make=lambda: _drain(cfg),
            without=(
                "drain_unit.params",
                "drain_unit.tables",
                *(f"drain_unit.requant_{k}" for k in range(slots)),
            ),
        ),
        Block(
            name="ofmap",
            make=lambda: PixelRam(
                cfg,
                depth=cfg.ofmap_depth,
                write_pixels=cfg.drain_pixels,
                read_pixels=cfg.chip_words,
                read_words=True,
            ),
        ),
        Block(
            name="residual",
            make=lambda: PixelRam(
                cfg,
                depth=cfg.ofmap_depth,
                write_pixels=cfg.load_words,
                read_pixels=1,
                read_words=False,
            ),
        ),
        Block(
            name="load_unit",
            make=lambda: LoadUnit(cfg),
            without=("load_unit.units",) if cfg.tile_table_depth else (),
        ),
        Block(name="linear_unit", make=lambda: LinearUnit(cfg)),
        Block(
            name="store_unit",
            make=lambda: StoreUnit(cfg),
            without=("store_unit.units",) if cfg.tile_table_depth else (),
        ),
        Block(name="axi_reader", make=lambda: AxiReader(cfg, num_clients=3)),
        Block(name="axi_writer", make=lambda: AxiWriter(cfg)),
        Block(name="sequencer", make=lambda: Sequencer(cfg)),
        Block(name="csr", make=lambda: Csr(cfg)),
        Block(
            name="core",
            make=lambda: Core(cfg),
            without=tuple(
                f"core.{name}"
                for name in (
                    "sequencer reader writer load linear array depthwise drain ofmap residual store act"
                ).split()
            ),
        ),
    ]
    if cfg.narrow_requant_lanes:
        found.append(
            Block(
                name="narrow_requant_lane",
                make=lambda: RequantLane(slices=1),
                count=cfg.narrow_requant_lanes,
            )
        )
    if cfg.tile_table_depth:
        found += [
            Block(
                name="unit_reader", make=lambda: UnitReader(cfg), without=("unit_reader.decoder",)
            ),
            Block(name="rlc_decoder", make=lambda: Decoder(cfg)),
            Block(
                name="unit_writer", make=lambda: UnitWriter(cfg), without=("unit_writer.encoder",)
            ),
            Block(name="rlc_encoder", make=lambda: Encoder(cfg)),
        ]
    if cfg.act_depth:
        found.append(Block(name="act_store", make=lambda: ActStore(cfg)))
    return [replace(block, urams=cfg.urams) for block in found]


def board_blocks(board: Board, config: Config) -> list[Block]:
    """Return the blocks of an accelerator on a board, and what the board has around it."""
    around = Block(
        name=board.name,
        make=lambda: board.make_top(config),
        without=("*.core", "*.csr"),
        urams=config.urams,
    )
    return [*blocks(config), around]
