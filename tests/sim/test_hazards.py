"""Races between units: every missing semaphore is found, and what is ordered is let through."""

import numpy as np
import pytest
from chains import random_chain
from commandbench import CommandBench
from netlib import conv_net, random_inputs
from schedule import commands, edges, without_edge
from testconfigs import ODD, QUAD, WIDE

from skimp.isa import COMMAND_BYTES, LoadTarget, Opcode, Semaphore, assemble
from skimp_compiler.compiler import compile_graph
from skimp_compiler.program import DeviceStep
from skimp_sim.executor import run_program
from skimp_sim.functional import FunctionalError
from skimp_sim.hazards import HazardCheck


def bits(*semaphores: Semaphore) -> int:
    return sum(1 << semaphore for semaphore in semaphores)


IFMAP, WGT, PARAM = (
    bits(s) for s in (Semaphore.IFMAP_FULL, Semaphore.WGT_FULL, Semaphore.PARAM_FULL)
)
PSUM, PSUM_FREE = bits(Semaphore.PSUM_FULL), bits(Semaphore.PSUM_FREE)
OFMAP, OFMAP_FREE = bits(Semaphore.OFMAP_FULL), bits(Semaphore.OFMAP_FREE)
DW_IFMAP, DW_WGT, DW_PSUM = (
    bits(s) for s in (Semaphore.DW_IFMAP_FULL, Semaphore.DW_WGT_FULL, Semaphore.DW_PSUM_FULL)
)
DW_IFMAP_FREE, DW_WGT_FREE, DW_PSUM_FREE = (
    bits(s) for s in (Semaphore.DW_IFMAP_FREE, Semaphore.DW_WGT_FREE, Semaphore.DW_PSUM_FREE)
)


def loaded(ifmap=IFMAP, wgt=WGT, param=PARAM) -> CommandBench:
    """Ifmap, parameters and weights are loaded; what they post."""
    b = CommandBench(ODD, np.random.default_rng(1), fenced=False)
    b.fill_ifmap(30, post=ifmap)
    b.fill_param(post=param)
    b.fill_wgt(2, post=wgt)
    return b


def refused(b: CommandBench, match: str):
    with pytest.raises(FunctionalError, match=match):
        b.run()


def test_read_before_write():
    b = loaded()
    b.conv(3)
    refused(b, "CONV at 0xc0: may read ifmap before it is written")
    b = loaded()
    b.conv(3, wait=IFMAP)
    refused(b, "may read wgt before it is written")
    b = loaded()
    b.conv(3, wait=IFMAP | WGT, post=PSUM)
    b.run()
    b.drain(3, wait=PSUM)
    b.run()  # weights came behind the parameters: who is behind the array is behind both
    b = loaded()
    b.conv(3, wait=IFMAP | WGT)
    b.drain(3, wait=PARAM)
    refused(b, "may read psum before it is written")


def test_an_early_post_covers_nothing_behind_it():
    b = CommandBench(ODD, np.random.default_rng(1), fenced=False)
    b.fill_ifmap(30, post=IFMAP)
    b.fill_param(post=WGT)
    b.fill_wgt(1)
    b.conv(3, wait=IFMAP | WGT)
    refused(b, "may read wgt before it is written")


def test_overwritten_while_read():
    again = {
        "ifmap": lambda b, **fields: b.fill_ifmap(3, **fields),
        "wgt": lambda b, **fields: b.fill_wgt(1, **fields),
    }
    for (buffer, load), free in zip(again.items(), (Semaphore.IFMAP_FREE, Semaphore.WGT_FREE)):
        for freed in (False, True):
            b = loaded()
            b.conv(3, wait=IFMAP | WGT, post=bits(free))
            load(b, wait=bits(free) if freed else 0)
            if freed:
                b.run()
            else:
                refused(b, f"may overwrite {buffer} while it is still read")


def chain(*, psum_free=True) -> CommandBench:
    """Two tiles through array and drain; the second takes the slot of the first."""
    b = loaded()
    b.conv(3, wait=IFMAP | WGT, post=PSUM)
    b.drain(3, wait=PSUM, post=PSUM_FREE | OFMAP)
    # What is not finished touches no slot.
    b.conv(3, psum_slot=1)
    b.conv(3, last=0)
    b.conv(3, first=0, wait=PSUM_FREE * psum_free, post=PSUM)
    return b


def test_psums_overwritten_before_they_are_drained():
    chain().run()
    refused(chain(psum_free=False), "may overwrite psum while it is still read")


def test_ofmap_overwritten_before_it_is_stored():
    for freed in (False, True):
        b = chain()
        b.store(3, wait=OFMAP, post=OFMAP_FREE)
        b.drain(3, wait=PSUM | OFMAP_FREE * freed)
        if freed:
            b.run()
        else:
            refused(b, "may overwrite ofmap while it is still read")


def test_parameters_overwritten_before_they_are_used():
    for freed in (False, True):
        b = loaded()
        b.conv(3, wait=IFMAP | WGT, post=PSUM)
        free = bits(Semaphore.PARAM_FREE)
        b.drain(3, wait=PSUM, post=free)
        b.fill_param(wait=free * freed)
        if freed:
            b.run()
        else:
            refused(b, "may overwrite param while it is still read")


def test_tables_and_residuals_are_watched():
    def drained(**fields):
        b = loaded()
        b.conv(3, wait=IFMAP | WGT, post=PSUM)
        b.fill(LoadTarget.TABLE, np.zeros(512, np.int32), post=PARAM)
        b.add(
            Opcode.LOAD_RESIDUAL, dram_addr=b.place(b.int8(3, 8)), num_pixels=3, seg_words=3,
            seg_count=1, dma_blocks=1, post=bits(Semaphore.RESIDUAL_FULL),
        )  # fmt: skip
        b.drain(3, add=1, residual=1, **fields)
        return b

    refused(drained(wait=PSUM), "may read table before it is written")
    b = drained(wait=PSUM | PARAM)
    refused(b, "may read table before it is written")  # the first post was the parameters'
    b.code.insert(-1, assemble(Opcode.DRAIN, wait=PSUM | PARAM, num_pixels=3, act_max=1))
    b.code[-1] = assemble(Opcode.DRAIN, wait=PARAM, num_pixels=3, add=1, residual=1)
    refused(b, "may read residual before it is written")
    more = PARAM | bits(Semaphore.RESIDUAL_FULL)
    b.code[-1] = assemble(Opcode.DRAIN, wait=more, num_pixels=3, add=1, residual=1)
    b.run()


# The depthwise unit: two rows, beside the array

TWO_ROWS = dict(num_r=2, lag=1, num_pixels2=3)


def dw_loaded(ifmap=DW_IFMAP, wgt=DW_WGT) -> CommandBench:
    """Both units' buffers and weights and the parameters are loaded; what the former post."""
    b = CommandBench(QUAD, np.random.default_rng(1), fenced=False)
    b.fill_ifmap(30, post=IFMAP)
    b.fill_dw_ifmap(30, post=ifmap)
    b.fill_param(post=PARAM)
    b.fill(LoadTarget.DW_WGT, b.int8(2, QUAD.out_channels), post=wgt)
    b.fill_wgt(1, post=WGT)
    return b


def test_depthwise_reads_before_write():
    b = dw_loaded()
    b.depthwise(5, **TWO_ROWS)
    refused(b, "may read dw_ifmap before it is written")
    b = dw_loaded()
    b.depthwise(5, wait=DW_IFMAP, **TWO_ROWS)
    refused(b, "may read dw_wgt before it is written")
    for row in (0, 1):
        b = dw_loaded()
        b.depthwise(5, wait=DW_IFMAP | DW_WGT, post=DW_PSUM, **TWO_ROWS)
        b.drain(3, wait=PARAM, dw=1, dw_row=row)
        refused(b, "may read dw_psum before it is written")
        b.code[-1:] = []
        b.drain(3, wait=PARAM | DW_PSUM, dw=1, dw_row=row)
        b.run()


def test_each_unit_waits_for_its_own_buffers():
    """What the array's semaphores order is not ordered for the depthwise unit."""
    b = dw_loaded()
    b.conv(5, wait=IFMAP | WGT, post=PSUM)
    b.depthwise(5, wait=DW_WGT)
    refused(b, "may read dw_ifmap before it is written")
    b = dw_loaded()
    b.depthwise(5, wait=IFMAP)
    refused(b, "IFMAP_FULL is not DEPTHWISE's to take")
    b = dw_loaded()
    b.conv(5, wait=IFMAP | WGT, post=DW_PSUM)
    refused(b, "DW_PSUM_FULL is not ARRAY's to post")
    b = dw_loaded()
    b.conv(5, wait=IFMAP | WGT, post=PSUM)
    b.depthwise(5, wait=DW_IFMAP | DW_WGT, post=DW_PSUM)
    b.drain(5, wait=PARAM | PSUM, dw=1)
    refused(b, "may read dw_psum before it is written")
    b.code[-1:] = []
    b.drain(5, wait=PARAM | DW_PSUM)
    refused(b, "may read psum before it is written")


def test_buffers_of_the_depthwise_unit_overwritten_while_read():
    def part(b, **fields):
        b.fill_dw_ifmap(3, num_blocks=1, seg_words=3, **fields)

    again = {
        "dw_ifmap": (part, DW_IFMAP_FREE),
        "dw_wgt": (
            lambda b, **fields: b.fill(LoadTarget.DW_WGT, b.int8(1, QUAD.out_channels), **fields),
            DW_WGT_FREE,
        ),
    }
    for buffer, (load, free) in again.items():
        for freed in (False, True):
            b = dw_loaded()
            b.depthwise(5, wait=DW_IFMAP | DW_WGT, post=free, **TWO_ROWS)
            load(b, wait=free * freed)
            if freed:
                b.run()
            else:
                refused(b, f"may overwrite {buffer} while it is still read")


def test_a_lower_row_overwritten_before_it_is_drained():
    for freed in (0, 1):
        b = dw_loaded()
        b.depthwise(5, wait=DW_IFMAP | DW_WGT, post=DW_PSUM, **TWO_ROWS)
        b.drain(5, wait=PARAM | DW_PSUM, dw=1, post=DW_PSUM_FREE * (1 - freed))
        b.drain(3, dw=1, dw_row=1, post=DW_PSUM_FREE * freed)
        # One row by one is drained already; another slot is free.
        b.depthwise(5, psum_slot=1, **TWO_ROWS)
        b.depthwise(5, wait=DW_PSUM_FREE)
        b.depthwise(5, **TWO_ROWS)
        if freed:
            b.run()
        else:
            refused(b, "0x280: may overwrite dw_psum while it is still read")


def stored(post=0, wait=0) -> CommandBench:
    """A load of what a store wrote."""
    b = chain()
    address = b.store(3, wait=OFMAP, post=post)
    b.add(
        Opcode.LOAD_RESIDUAL, dram_addr=address, num_pixels=3, seg_words=3, seg_count=1,
        dma_blocks=1, wait=wait,
    )  # fmt: skip
    return b


def test_loads_wait_until_the_write_is_acknowledged():
    there = bits(Semaphore.STORED)
    refused(stored(), r"may read dram before it is written \(STORED does not order it\)")
    stored(post=there, wait=there).run()
    # Another unit's post says that the words were taken, not that they can be read.
    b = stored(post=OFMAP_FREE)
    b.code[-1:] = []
    b.drain(3, wait=PSUM | OFMAP_FREE, post=bits(Semaphore.RESIDUAL_FREE))
    b.add(
        Opcode.LOAD_RESIDUAL, dram_addr=0, num_pixels=1, seg_words=1, seg_count=1, dma_blocks=1,
        wait=bits(Semaphore.RESIDUAL_FREE),
    )  # fmt: skip
    last = b.code.pop()
    assert last[8:12] == bytes(4)
    address = int.from_bytes(b.code[-2][8:12], "little")  # the store's
    b.code.append(last[:8] + address.to_bytes(4, "little") + last[12:])
    refused(b, "may read dram before it is written")


def test_store_over_what_a_load_reads():
    b = chain()
    values = np.zeros((64, ODD.in_channels), np.int8)
    b.fill(LoadTarget.DW_WGT, values)
    b.store(3, wait=OFMAP, dram_addr=b.place(values[:0]) - values.nbytes)
    refused(b, "may overwrite dram while it is still read")


def test_semaphores_lead_from_one_unit_to_one_other():
    b = loaded()
    b.conv(3, wait=IFMAP | WGT, post=WGT)
    refused(b, "WGT_FULL is not ARRAY's to post")
    b = loaded()
    b.drain(3, wait=WGT)
    refused(b, "WGT_FULL is not DRAIN's to take")
    b = loaded()
    b.conv(3, wait=IFMAP | WGT, post=bits(Semaphore.STORED))
    refused(b, "STORED is not ARRAY's to post")


def test_clocks_pass_through_other_units():
    """Order is transitive: weights, array, drain, and back to the weights."""
    check = HazardCheck(ODD)

    def command(opcode, wait=0, post=0):
        assert check.begin(opcode, wait, post) is None

    free = bits(Semaphore.PARAM_FREE)
    word = slice(0, 1)
    for closed in (True, False):
        check.start()
        command(Opcode.LOAD_LINEAR, post=WGT)
        assert check.write("wgt", word) is None
        check.end()
        command(Opcode.CONV, wait=WGT, post=PSUM)
        assert check.read("wgt", word) is None
        check.end()
        command(Opcode.DRAIN, wait=PSUM, post=free)
        check.end()
        command(Opcode.LOAD_LINEAR, wait=free * closed)
        assert (check.write("wgt", word) is None) == closed
        check.end()


# Compiled programs


def conv(**shape):
    return lambda rng: conv_net(rng, **shape)


PROGRAMS = {
    "conv": (ODD, conv(height=9, width=8, c=20, k=40, r=2, s=2)),
    "depthwise": (ODD, conv(height=13, width=11, c=20, k=20, r=3, s=3, depthwise=True)),
    "wide conv": (WIDE, conv(height=7, width=6, c=40, k=40, r=2, s=2)),
    "chain": (WIDE, random_chain),
    "another chain": (ODD, random_chain),
}
SEEDS = {"chain": 0, "another chain": 0}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_edge_of_a_program_is_missed(name):
    """Take a post and its wait out of a program, one pair after the other: each is found."""
    config, build = PROGRAMS[name]
    rng = np.random.default_rng(SEEDS.get(name, 7))
    graph = build(rng)
    inputs = random_inputs(rng, graph)
    program = compile_graph(graph, config)
    run_program(graph, program, inputs)
    image = program.image
    missed, tried, kinds = [], 0, set()
    for step in (step for step in program.steps if isinstance(step, DeviceStep)):
        stream = commands(program, step)
        found = edges(stream)
        kinds |= {semaphore for _, _, semaphore in found}
        # A sample where there are many, each kind of semaphore in it.
        rng.shuffle(found)
        chosen, count = [], {}
        for edge in found:
            count[edge[2]] = count.get(edge[2], 0) + 1
            if count[edge[2]] <= 4:
                chosen.append(edge)
        for edge in chosen:
            code = b"".join(assemble(o, **f) for o, f in without_edge(stream, edge))
            end = step.address + step.num_commands * COMMAND_BYTES
            program.image = image[: step.address] + code + image[end:]
            tried += 1
            try:
                run_program(graph, program, inputs)
                missed.append((edge, stream[edge[0]][0].name, stream[edge[1]][0].name))
            except FunctionalError as error:
                assert "may " in str(error)
    assert not missed, f"{name}: nobody misses {missed}"
    assert tried >= 15 and len(kinds) >= 5, (tried, kinds)
