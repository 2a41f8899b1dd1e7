"""DRAM traffic by layer: small networks counted by hand, and what holds for every network."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from netlib import KINDS, Net, conv_net, random_net

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_sim.counting import count_layers
from skimp_sim.models import load_model
from skimp_sim.perf.command import perf_report
from skimp_sim.report import json_text
from skimp_sim.reproduce.layers import ConvLayer
from skimp_sim.reproduce.limit import limit_words
from skimp_sim.traffic import chip_words, crossing, traffic_of, transfers

TINY = PRESETS["tiny"]
SMALL = PRESETS["small"]
NO_STORE = replace(SMALL, name="no_store", act_depth=0)
CONFIGS = (TINY, SMALL, NO_STORE)


def of(graph, config):
    return traffic_of(graph, compile_graph(graph, config))


def conv(height, width, c, k, size, stride=1, *, seed=0):
    rng = np.random.default_rng(seed)
    return conv_net(
        rng, height=height, width=width, c=c, k=k, r=size, s=size, stride=(stride, stride)
    )


def block():
    """conv 3x3 of 8 to 16 channels, conv 1x1, add of both."""
    net = Net(np.random.default_rng(2), "block")

    def layer(x, k, size):
        _, height, width, c = net.graph.tensors[x].shape
        shape = (k, size, size, c)
        w = net.tensor(
            shape, scale=np.full(k, 0.002), zero_point=0, data=net.weights(shape), axis=0
        )
        y = net.tensor((1, height, width, k), scale=0.05)
        net.op(
            "conv", (x, w, net.bias(k, 0.0001)), (y,), stride_h=1, stride_w=1, padding="same",
            dilation_h=1, dilation_w=1, activation="none",
        )  # fmt: skip
        return y

    x = net.tensor((1, 12, 10, 8), scale=0.05)
    first = layer(x, 16, 3)
    second = layer(first, 16, 1)
    y = net.tensor((1, 12, 10, 16), scale=0.05)
    net.op("add", (second, first), (y,), activation="none")
    return net.done((x,), (y,))


MAP = 12 * 10 * 16
INPUT = 12 * 10 * 8
WEIGHTS = 9 * 8 * 16, 16 * 16
TABLES = 2 * 256 * 4


def test_a_layer_by_hand():
    """1x1, whole words and blocks: nothing but commands and the record comes on top."""
    traffic = of(conv(6, 6, 8, 8, 1), TINY)
    (layer,) = traffic.layers.values()
    (unit,) = traffic.units
    ifmap = ofmap = 6 * 6 * 8
    assert layer.compulsory_bytes == layer.bound_bytes == ifmap + 64 + ofmap
    assert layer.chip_bytes == layer.compulsory_bytes + 12 * 8
    commands = layer.moved.pop("commands")
    assert commands % 64 == 0 and commands >= 64 * len("check wgt param load conv drain".split())
    assert layer.moved == {
        "ifmap": ifmap, "weights": 64, "parameters": 96, "ofmap": ofmap, "records": 64,
    }  # fmt: skip
    assert layer.surplus == {"commands": commands, "counters of the layer": 64}
    assert unit.moved_bytes == layer.chip_bytes + commands + 64
    assert traffic.crossing == {
        "weights": 64, "parameters": 96, "input": ifmap, "output": ofmap,
    }  # fmt: skip


def test_padding_to_lanes_by_hand():
    """5 of 8 channels on both sides: three zeros a pixel, and in weights and parameters."""
    (layer,) = of(conv(6, 6, 5, 5, 1), TINY).layers.values()
    lanes = 8 * 8 - 5 * 5
    assert layer.chip_bytes == 2 * 36 * 5 + 5 * 5 + 12 * 5
    assert layer.surplus["channels padded to lanes"] == 2 * 36 * 3
    assert layer.surplus["weights padded to lanes"] == lanes
    assert layer.surplus["parameters padded to lanes"] == 12 * 3


def test_kernel_columns_side_by_side_by_hand():
    """3 channels x 3 kernel columns are 9 of 16 lanes: 10 x 10 pixels of that, of 10 x 10 x 3."""
    (layer,) = of(conv(10, 10, 3, 8, 3), TINY).layers.values()
    assert layer.surplus["kernel columns side by side"] == 100 * 9 - 100 * 3
    assert layer.surplus["channels padded to lanes"] == 100 * (16 - 9)
    assert layer.compulsory_bytes == 300 + 9 * 3 * 8 + 800


def test_halos_and_parts_of_beats_by_hand():
    """Tiles read rows again that the tile above has read."""
    graph = conv(64, 64, 8, 8, 3)
    config = replace(TINY, ifmap_depth=512)
    (layer,) = of(graph, config).layers.values()
    asked = sum(
        t.command.seg_words * t.command.seg_count * t.command.dma_blocks * 8
        for t in transfers(graph, compile_graph(graph, config))
        if t.kind == "ifmap"
    )
    assert layer.moved["ifmap"] == asked  # a word is a beat
    assert layer.surplus["halos read again"] == asked - 64 * 64 * 8 > 0


@pytest.mark.parametrize("size, used", [(1, 5 * 6 * 8), (3, 9 * 11 * 8)])
def test_a_stride_leaves_pixels_out(size, used):
    """9 x 11 pixels, stride 2: a 1x1 kernel looks at 5 x 6 of them, a 3x3 kernel at all."""
    (layer,) = of(conv(9, 11, 8, 8, size, 2), TINY).layers.values()
    assert layer.compulsory_bytes == used + size * size * 64 + 5 * 6 * 8


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_units_by_hand(config):
    """An add on the way out of a convolution is one unit with it; the map between stays inside."""
    graph = block()
    traffic = of(graph, config)
    first, second, add = traffic.layers.values()
    assert first.compulsory_bytes == INPUT + WEIGHTS[0] + MAP
    assert second.compulsory_bytes == 2 * MAP + WEIGHTS[1]
    assert add.compulsory_bytes == 3 * MAP
    alone, both = traffic.units
    assert [len(alone.members), len(both.members)] == [1, 2]
    assert alone.compulsory_bytes == first.compulsory_bytes
    # Both convolution and add read the first map, which comes once.
    assert both.compulsory_bytes == MAP + WEIGHTS[1] + MAP
    assert both.moved == second.moved + add.moved
    in_dram = config is not SMALL
    assert first.chip_bytes == INPUT + WEIGHTS[0] + 12 * 16 + in_dram * MAP
    assert both.chip_bytes == WEIGHTS[1] + 12 * 16 + TABLES + MAP + in_dram * MAP
    # Where the map lies in DRAM, convolution and add both read it there.
    assert both.surplus["maps read by several layers"] == in_dram * MAP
    assert traffic.crossing == {
        "weights": sum(WEIGHTS), "parameters": 2 * 12 * 16, "tables": TABLES, "input": INPUT,
        "output": MAP,
    }  # fmt: skip


def test_prefetched_weights_count_for_their_layer():
    """Whenever they come: what the counters of a run give to the layer before."""
    for config in CONFIGS:
        layers = of(block(), config).layers.values()
        moved = [layer.moved["weights"] for layer in layers if layer.layer.macs]
        blocks = [9, 2] if config.in_channels == 8 else [9, 1]
        size = config.wgt_block_bytes * 16 // config.out_channels
        assert moved == [n * size for n in blocks], config.name


def test_chip_words_by_hand():
    words = chip_words(TINY)
    assert words == {
        "activation store": 0,
        "ifmap buffer": 1024 * 8,
        "ifmap buffer of the depthwise unit": 512 * 8,
        "ofmap buffer": 128 * 8,
        "residual buffer": 128 * 8,
        "weight scratchpad": 64 * 64,
        "weights of the depthwise unit": 128 * 8,
        "psums": 2 * 32 * 8,
        "psums of the depthwise unit": 2 * 16 * 8,
    }
    assert chip_words(PRESETS["zcu104"])["activation store"] == 2 << 20


def test_bound_of_a_layer_larger_than_the_chip():
    """The published form, for the values that the chip holds."""
    graph = conv(48, 40, 64, 128, 3)
    (layer,) = of(graph, TINY).layers.values()
    same = ConvLayer(
        name="", out_channels=128, in_channels=64, in_rows=48, in_columns=40, rows=48, columns=40,
        kernel=3, stride=1, padding=1,
    )  # fmt: skip
    words = sum(chip_words(TINY).values())
    assert layer.bound_bytes == int(limit_words(same, batch=1, buffer_words=words))
    assert layer.bound_bytes > layer.compulsory_bytes
    assert layer.moved_bytes >= 0.97 * layer.bound_bytes


def check_sums(graph, program):
    """Sums over layers and units are what the commands move; every byte on top has a name."""
    traffic = traffic_of(graph, program)
    moves = transfers(graph, program)
    # What is behind the last layer (END) counts for nobody there.
    counted = Counter({"commands": 64 if moves else 0})
    for counts in count_layers(program.config, [t.command for t in moves]).values():
        counted["maps read"] += counts.dram_read_bytes["ifmap"]
        counted["constants"] += counts.dram_read_bytes["wgt"]
        counted["commands"] += counts.dram_read_bytes["program"]
        counted["ofmap"] += counts.dram_write_bytes["ofmap"]
        counted["records"] += counts.dram_write_bytes["record"]
    moved = traffic.moved
    assert moved["ifmap"] == counted["maps read"]
    assert moved["weights"] + moved["parameters"] + moved["tables"] == counted["constants"]
    for kind in ("commands", "ofmap", "records"):
        assert moved[kind] == counted[kind]
    for parts in (traffic.layers.values(), traffic.units):
        assert sum(part.moved_bytes for part in parts) == moved.total()
    for part in (*traffic.layers.values(), *traffic.units):
        assert part.moved_bytes >= part.chip_bytes
        assert part.moved_bytes == part.chip_bytes + part.surplus.total()
        assert part.bound_bytes >= part.compulsory_bytes
    assert moved.total() >= sum(unit.chip_bytes for unit in traffic.units)
    assert moved.total() >= sum(traffic.crossing.values())
    return traffic


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_random_layers(config, kind):
    for seed in range(6):
        graph = random_net(np.random.default_rng(seed), kind)
        program = compile_graph(graph, config)
        traffic = check_sums(graph, program)
        for layer in traffic.layers.values():
            # All maps are in DRAM: no schedule is below the layer's own bound.
            assert layer.moved_bytes >= 0.97 * layer.bound_bytes, f"seed {seed}"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_sums_of_layers(config):
    check_sums(block(), compile_graph(block(), config))


@pytest.mark.long
def test_real_networks(models):
    for path in sorted(models.glob("*.tflite")):
        graph, _ = load_model(str(path))
        for config in (SMALL, NO_STORE):
            check_sums(graph, compile_graph(graph, config))


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["resnet50", "mobilenet_v1", "mobilenet_v2", "vgg16", "alexnet", "googlenet"]
)
def test_networks(name):
    zcu104 = PRESETS["zcu104"]
    graph, _ = load_model(name)
    check_sums(graph, compile_graph(graph, zcu104))
    # Without the activation store every map is in DRAM, and the bound holds layer by layer, but
    # for adds on the way out of a convolution, and layers beside each other.
    config = replace(zcu104, name="no_store", act_depth=0)
    traffic = check_sums(graph, compile_graph(graph, config, fuse=False))
    for unit in traffic.units:
        assert unit.moved_bytes >= 0.97 * unit.bound_bytes, unit.layer.name


def test_json_of_a_run():
    graph = block()
    report = json.loads(json_text(perf_report(graph, SMALL)))
    total, layers = report["total"], report["layers"]
    traffic = of(graph, SMALL)
    for layer, found in zip(layers, traffic.layers.values()):
        assert layer["compulsory_bytes"] == found.compulsory_bytes
        assert layer["dram_lower_bound_bytes"] == found.bound_bytes
        assert layer["chip_compulsory_bytes"] == found.chip_bytes
        assert sum(layer["moved_bytes"].values()) == found.moved_bytes
    least = sum(crossing(graph, compile_graph(graph, SMALL)).values())
    assert total["dram_lower_bound_bytes"] == least <= total["dram_bytes"]
    assert total["layers_lower_bound_bytes"] == sum(x.bound_bytes for x in traffic.layers.values())
    assert total["compulsory_bytes"] == sum(x["compulsory_bytes"] for x in layers)
    # All but END.
    assert total["dram_bytes"] == traffic.moved.total() - 64
