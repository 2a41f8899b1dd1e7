"""Print what access patterns reach, as a Markdown table: ``python -m skimp_sim.dram``."""

from skimp_sim.dram.params import Ddr4Params
from skimp_sim.dram.patterns import PATTERNS, measure


def main() -> None:
    """Print the table for a bus of four ports and for one of a single port."""
    p = Ddr4Params()
    print(
        f"DDR4-{2 * p.ddr_mhz} x 64 bit, {p.cl}-{p.t_rcd}-{p.t_rp}, fabric {p.fabric_mhz} MHz: "
        f"peak {p.peak_bytes_per_clock:g} bytes per fabric clock, refresh takes "
        f"{100 * p.refresh_share:.1f} %."
    )
    print("Idle read latency in fabric clocks, row open / bank closed / another row open:")
    data = p.cl + p.data_clocks
    for name, time in (
        ("open", data),
        ("closed", p.t_rcd + data),
        ("conflict", p.t_rp + p.t_rcd + data),
    ):
        fabric = -(-time * p.fabric_mhz // p.ddr_mhz) + p.read_latency
        print(f"  {name}: {time} DDR clocks, {fabric} with the path of {p.read_latency}")
    print()
    print("| pattern | bus | bytes/clock | at most | row hits | useful | DRAM: at least |")
    print("|---|---|---|---|---|---|---|")
    for beat_bytes in (64, 16):
        for pattern in PATTERNS:
            r = measure(pattern, beat_bytes, p)
            print(
                f"| {pattern.name} | {beat_bytes} | {r.bytes_per_clock:.1f} | {r.limit:.1f} "
                f"| {100 * r.hit_rate:.0f} % | {100 * r.useful:.0f} % | {pattern.arithmetic} |"
            )


if __name__ == "__main__":
    main()
