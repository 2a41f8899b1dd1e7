"""The MAC array: pixels x in_channels x out_channels products a clock, two in every slice."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from skimp.config import CHAIN, Config
from skimp.feed.pipe import delay
from skimp.pe.chain import FIELD_BITS, PeChain, PlainChain
from skimp.prim.shared import Shared

__all__ = ["PeArray"]


class PeArray(wiring.Component):
    """Dot products of every pixel's channels with every output channel's weights.

    A rigid pipeline without valid: who feeds it sends zeros when idle, and zeros are gated
    (`config.gating`).

    Parameters
    ----------
    config : Config

    Members
    -------
    act : In(ArrayLayout(signed(9), in_channels)).array(pixels)
    wgt : In(8 * wgt_slice_bytes).array(wgt_slices)
        Position p of word n, that is weights of slice k = n * wgt_slices + p of every chain, p
        clocks behind bit n of `wgt_load`: byte co * num_chains + g belongs to input channel
        g * CHAIN + k.
    wgt_load : In(min_pass_cycles)
        Take word n as the next weights, n * wgt_slices clocks or more behind the swap of the
        weights loaded before, and before the clock that lies as far behind their own.
    wgt_swap : In(1)
        The weights loaded before work from this clock's activations on.
    dot : Out(ArrayLayout(signed(dot_bits), out_channels)).array(pixels)

    Notes
    -----
    *Latency*: `latency` clocks from act to dot. *Throughput*: a pixel group a clock.
    *Resources*: pixels * in_channels * out_channels / 2 DSP48E2 (without `config.packed`: twice as
    many plain multipliers), 38 registers a chain and, with 16 channels, 40 bits of carry for each
    two chains. `dot` means nothing in the first `latency` clocks after configuration.
    Slice k of a chain works k clocks behind slice 0; the skew of activations, gates and swaps, and
    of the loads of one word, is made in here.
    """

    def __init__(self, config: Config):
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {config!r}")
        self._config = config
        self._num_chains = config.in_channels // CHAIN
        levels = exact_log2(self._num_chains)
        self.dot_bits = FIELD_BITS + levels
        self.latency = PeChain.latency + levels
        layout = data.ArrayLayout(signed(9), config.in_channels)
        dots = data.ArrayLayout(signed(self.dot_bits), config.out_channels)
        super().__init__(
            {
                "act": In(layout).array(config.pixels),
                "wgt": In(8 * config.wgt_slice_bytes).array(config.wgt_slices),
                "wgt_load": In(config.min_pass_cycles),
                "wgt_swap": In(1),
                "dot": Out(dots).array(config.pixels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        chain_class = PeChain if cfg.packed else PlainChain
        chain_name = "skimp_pe_chain" if cfg.packed else "skimp_plain_chain"

        loads = [self.wgt_load]  # of a position, all words
        for p in range(1, cfg.wgt_slices):
            loads.append(delay(m, loads[-1], 1, name=f"load_{p}"))
        load = Signal(CHAIN)
        swap = Signal(CHAIN, name="swap_skewed")
        m.d.comb += [
            load.eq(Cat(*zip(*loads, strict=True))),
            swap[0].eq(self.wgt_swap),
        ]
        m.d.sync += swap[1:].eq(swap[:-1])

        for i in range(cfg.pixels):
            groups = []
            for g in range(self._num_chains):
                acts, gates = [], []
                for k in range(CHAIN):
                    act = Signal(signed(9), name=f"act_{i}_{g}_{k}")
                    gate = Signal(name=f"gate_{i}_{g}_{k}")
                    m.d.comb += act.eq(self.act[i][g * CHAIN + k])
                    if cfg.gating:
                        m.d.comb += gate.eq(act == 0)
                    name = f"{i}_{g}_{k}"
                    acts.append(delay(m, act, k, name=f"act_{name}", reset_less=True))
                    gates.append(delay(m, gate, k, name=f"gate_{name}"))
                act_bus = Signal(9 * CHAIN, name=f"acts_{i}_{g}")
                gate_bus = Signal(CHAIN, name=f"gates_{i}_{g}")
                m.d.comb += [act_bus.eq(Cat(acts)), gate_bus.eq(Cat(gates))]
                groups.append((act_bus, gate_bus))
            for pair in range(cfg.out_channels // 2):
                dots = []
                for g, (act_bus, gate_bus) in enumerate(groups):
                    chain = Shared(chain_class(wgt_slices=cfg.wgt_slices), name=chain_name)
                    m.submodules[f"chain_{i}_{pair}_{g}"] = chain
                    upper = (2 * pair + 1) * self._num_chains + g
                    lower = 2 * pair * self._num_chains + g
                    m.d.comb += [
                        chain.act.eq(act_bus),
                        chain.gate.eq(gate_bus),
                        chain.wgt1.eq(Cat(wgt.word_select(upper, 8) for wgt in self.wgt)),
                        chain.wgt0.eq(Cat(wgt.word_select(lower, 8) for wgt in self.wgt)),
                        chain.wgt_load.eq(load),
                        chain.wgt_swap.eq(swap),
                    ]
                    dots.append((chain.dot0, chain.dot1))
                for field in (0, 1):
                    out = self.dot[i][2 * pair + field]
                    if len(dots) == 1:
                        m.d.comb += out.eq(dots[0][field])
                    else:
                        total = Signal(
                            signed(self.dot_bits), name=f"dot_{i}_{pair}_{field}", reset_less=True
                        )
                        m.d.sync += total.eq(dots[0][field] + dots[1][field])
                        m.d.comb += out.eq(total)
        return m
