"""Drain: psums of a finished tile through requantisation into the ofmap side of the GLB."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.feed.pipe import delay
from skimp.isa import Opcode
from skimp.mem.wide_ram import WideRam
from skimp.post.requant import Requant

__all__ = ["DrainUnit"]


class DrainUnit(wiring.Component):
    """Executes DRAIN: one pixel of out_channels psums a clock.

    Parameters
    ----------
    config : Config
    psum_read_latency : int
        Clocks from a psum read to its data.

    Members
    -------
    command : In(stream), post : Out(16), idle : Out(1)
    param_w_en, param_w_addr, param_w_lane, param_w_data : In
        Fills the parameter memory: a word holds bias, multiplier and shift of a channel block.
    psum_rd_en : Out(pixels)
        Lane to read (one hot); psum_rd_half, psum_rd_addr go to all lanes.
    psum : In(ArrayLayout(signed(32), out_channels)).array(pixels)
    ofmap_w_en, ofmap_w_addr, ofmap_w_data : Out
        Requantised pixels.
    inc_drain : Out(1)

    Notes
    -----
    *Throughput*: one pixel a clock; a command takes num_pixels + `overhead_cycles` clocks, because
    its parameters stay on the memory's output until the last pixel has left the pipeline.
    """

    def __init__(self, config: Config, *, psum_read_latency: int):
        self._config = config
        self._psum_read_latency = psum_read_latency
        self._requant = Requant(config, tag_bits=16)
        self.overhead_cycles = psum_read_latency + self._requant.latency + 5
        channels = config.out_channels
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "post": Out(16),
                "idle": Out(1),
                "param_w_en": In(1),
                "param_w_addr": In(16),
                "param_w_lane": In(7),
                "param_w_data": In(config.bus_bits),
                "psum_rd_en": Out(config.pixels),
                "psum_rd_half": Out(1),
                "psum_rd_addr": Out(ceil_log2(config.psum_depth)),
                "psum": In(data.ArrayLayout(signed(32), channels)).array(config.pixels),
                "ofmap_w_en": Out(1),
                "ofmap_w_addr": Out(16),
                "ofmap_w_data": Out(8 * channels),
                "inc_drain": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        channels = cfg.out_channels
        m.submodules.requant = requant = self._requant
        m.submodules.params = params = WideRam(
            lanes=cfg.param_block_beats, lane_width=cfg.bus_bits, depth=cfg.param_depth
        )
        m.d.comb += [
            params.w_en.eq(self.param_w_en),
            params.w_addr.eq(self.param_w_addr),
            params.w_lane.eq(self.param_w_lane),
            params.w_data.eq(self.param_w_data),
        ]

        command = Signal(COMMAND_BITS, reset_less=True)
        drain = view(command, Opcode.DRAIN)
        pixel = Signal(16, reset_less=True)
        lane = Signal(range(max(cfg.pixels, 2)), reset_less=True)
        group = Signal(ceil_log2(cfg.psum_depth), reset_less=True)
        reading = Signal()
        flush = Signal(range(self.overhead_cycles + 1))
        flush_cycles = self._psum_read_latency + requant.latency + 1

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += [self.command.ready.eq(1), self.idle.eq(~self.command.valid)]
                m.d.sync += [pixel.eq(0), lane.eq(0), group.eq(0)]
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "PARAMS"
            with m.State("PARAMS"):
                m.d.comb += [params.r_en.eq(1), params.r_addr.eq(drain.param_block)]
                m.next = "PIXELS"
            with m.State("PIXELS"):
                m.d.comb += reading.eq(1)
                m.d.sync += pixel.eq(pixel + 1)
                with m.If(lane == cfg.pixels - 1):
                    m.d.sync += [lane.eq(0), group.eq(group + 1)]
                with m.Else():
                    m.d.sync += lane.eq(lane + 1)
                with m.If(pixel + 1 == drain.num_pixels):
                    m.d.sync += flush.eq(0)
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                m.d.sync += flush.eq(flush + 1)
                with m.If(flush == flush_cycles):
                    m.d.comb += self.post.eq(drain.post)
                    m.next = "IDLE"

        m.d.comb += [
            self.psum_rd_half.eq(drain.psum_half),
            self.psum_rd_addr.eq(group),
            self.inc_drain.eq(reading),
        ]
        for i in range(cfg.pixels):
            m.d.comb += self.psum_rd_en[i].eq(reading & (lane == i))

        latency = self._psum_read_latency
        m.d.comb += [
            requant.valid.eq(delay(m, reading, latency, name="reading")),
            requant.tag.eq(delay(m, pixel, latency, name="pixel", reset_less=True)),
        ]
        psum_lane = delay(m, lane, latency, name="lane", reset_less=True)
        with m.Switch(psum_lane):
            for i in range(cfg.pixels):
                with m.Case(i):
                    m.d.comb += requant.acc.eq(self.psum[i])

        for c in range(channels):
            words = [params.r_data.word_select(k * channels + c, 32) for k in range(3)]
            m.d.comb += [
                requant.bias[c].eq(words[0].as_signed()),
                requant.mult[c].eq(words[1].as_signed()),
                requant.shift[c].eq(words[2].as_signed()),
            ]
        m.d.comb += [
            requant.mode.eq(drain.rounding),
            requant.out_zp.eq(drain.out_zp),
            requant.act_min.eq(drain.act_min),
            requant.act_max.eq(drain.act_max),
            self.ofmap_w_en.eq(requant.ofmap_valid),
            self.ofmap_w_addr.eq(requant.ofmap_tag + drain.ofmap_base),
            self.ofmap_w_data.eq(requant.ofmap.as_value()),
        ]
        return m
