"""Bytes over a line: every value, clocks that differ a little, noise, a receiver that is late."""

import random

import pytest
from amaranth.sim import Simulator

from skimp.link.uart import MIN_DIVISOR, UartReceiver, UartSender


def line_of(data, bit_clocks: float, idle=(0,)) -> list[int]:
    """Return the level of the line in each clock."""
    levels, chance = [1] * 20, random.Random(1)
    time = float(len(levels))
    for byte in data:
        for bit in (0, *((byte >> k) & 1 for k in range(8)), 1):
            time += bit_clocks
            levels += [bit] * (round(time) - len(levels))
        time += chance.choice(idle)
        levels += [1] * (round(time) - len(levels))
    return levels + [1] * 50


def received(levels, divisor, *, taken=lambda clock: True) -> list[tuple[int, int]]:
    """Return (byte, damaged) of what a receiver hands over."""
    dut, found = UartReceiver(divisor=divisor), []

    async def testbench(ctx):
        for clock, level in enumerate(levels):
            ctx.set(dut.pin, level)
            ctx.set(dut.o.ready, taken(clock))
            _, _, valid, ready, payload = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload
            )
            if valid and ready:
                found.append((payload.byte, payload.damaged))

    run(dut, testbench)
    return found


def run(dut, testbench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("divisor", "bit_clocks"), [(4, 4), (10, 9.7), (10, 10.3), (15, 15)])
def test_receives(divisor, bit_clocks):
    data = [*range(0, 256, 3), 0xFF, 0x00, 0xA5]
    levels = line_of(data, bit_clocks, idle=(0, 0, 1, 7.3))
    assert received(levels, divisor) == [(byte, 0) for byte in data]


def test_a_byte_without_stop_bit_is_damaged():
    levels = line_of([0x55, 0x12], 8, idle=(16,))
    levels[20 + 72 : 20 + 80] = [0] * 8
    assert received(levels, 8) == [(0x55, 1), (0x12, 0)]


def test_a_glitch_is_no_byte():
    levels = [1] * 10 + [0] * 2 + [1] * 200
    assert received(levels, 8) == []


def test_a_byte_that_was_not_taken_is_missed():
    """The second byte pushes the first one out, and says that it did."""
    levels = line_of([1, 2, 3], 8)
    late = 20 + 200
    assert received(levels, 8, taken=lambda clock: clock > late) == [(2, 1), (3, 0)]


@pytest.mark.parametrize("divisor", [4, 10, 17])
def test_sends(divisor):
    dut, data = UartSender(divisor=divisor), [0x00, 0xFF, 0xA5, 0x5A, 0x01, 0x80]
    levels = []

    async def testbench(ctx):
        left, chance = list(data), random.Random(3)
        for _ in range(12 * 10 * divisor):
            offer = bool(left) and chance.random() < 0.2
            ctx.set(dut.i.valid, offer)
            ctx.set(dut.i.payload, left[0] if left else 0)
            _, _, ready, pin = await ctx.tick().sample(dut.i.ready, dut.pin)
            levels.append(pin)
            if offer and ready:
                left.pop(0)

    run(dut, testbench)
    assert levels[0] == 1 and levels[-1] == 1
    assert received(levels, divisor) == [(byte, 0) for byte in data]


@pytest.mark.parametrize("component", [UartReceiver, UartSender])
def test_refuses_a_divisor_that_is_too_small(component):
    with pytest.raises(ValueError, match=f"divisor must be at least {MIN_DIVISOR}, not 3"):
        component(divisor=3)
