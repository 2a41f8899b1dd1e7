"""The ECP5's PLL: one clock from another (Lattice FPGA-TN-02200, FPGA-DS-02012)."""

from typing import NamedTuple

from amaranth import *

from skimp.config import ConfigError

__all__ = ["Dividers", "find_dividers", "make_pll"]

_PHASE_DETECTOR_MHZ = (3.125, 400)
_VCO_MHZ = (400, 800)
_VCO_AIM_MHZ = 600
_DIVIDERS = {"input": 128, "feedback": 80, "output": 128}


class Dividers(NamedTuple):
    """Output = input * feedback / reference; the oscillator runs `output` times as fast as that."""

    reference: int
    feedback: int
    output: int


def find_dividers(input_mhz: int, output_mhz: int) -> Dividers:
    """Return the dividers of a clock, oscillator near the middle of its range.

    Raises
    ------
    ConfigError
        The PLL cannot make exactly that clock.
    """
    for reference in range(1, _DIVIDERS["input"] + 1):
        detector = input_mhz / reference
        feedback, rest = divmod(output_mhz * reference, input_mhz)
        low, high = _PHASE_DETECTOR_MHZ
        if rest or not low <= detector <= high or not 1 <= feedback <= _DIVIDERS["feedback"]:
            continue
        low, high = _VCO_MHZ
        outputs = [n for n in range(1, _DIVIDERS["output"] + 1) if low <= output_mhz * n <= high]
        if outputs:
            output = min(outputs, key=lambda n: abs(output_mhz * n - _VCO_AIM_MHZ))
            return Dividers(reference, feedback, output)
    raise ConfigError(f"clock_mhz {output_mhz}: the PLL cannot make it from {input_mhz} MHz")


def make_pll(dividers: Dividers, *, input_mhz, output_mhz, i, o, locked) -> Instance:
    """Return the PLL between two clocks, phases aligned through its own output."""
    return Instance(
        "EHXPLLL",
        a_FREQUENCY_PIN_CLKI=str(input_mhz),
        a_FREQUENCY_PIN_CLKOP=str(output_mhz),
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_CLKI_DIV=dividers.reference,
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=dividers.output,
        # Of no use with one output, which is fed back; as ecppll has it.
        p_CLKOP_CPHASE=(dividers.output - 1) // 2,
        p_CLKOP_FPHASE=0,
        p_FEEDBK_PATH="CLKOP",
        p_CLKFB_DIV=dividers.feedback,
        i_RST=0,
        i_STDBY=0,
        i_CLKI=i,
        o_CLKOP=o,
        i_CLKFB=o,
        i_PHASESEL0=0,
        i_PHASESEL1=0,
        i_PHASEDIR=1,
        i_PHASESTEP=1,
        i_PHASELOADREG=1,
        i_PLLWAKESYNC=0,
        i_ENCLKOP=0,
        o_LOCK=locked,
    )
