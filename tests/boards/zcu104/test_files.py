"""What `skimp verilog --board zcu104` writes: ports as Vivado names them, side-car, files beside."""

import json
import re

import pytest
from click.testing import CliRunner

from skimp.config import ConfigError
from skimp.configs import PRESETS
from skimp_boards.board import load_board
from skimp_boards.zcu104.top import Zcu104Top
from skimp_sim.cli import main

pytestmark = pytest.mark.xdist_group("files of zcu104")  # written once

SMALL = PRESETS["small"]


def skimp(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zcu104") / "new"
    result = skimp("verilog", "--board", "zcu104", "--config", "small", "-o", folder)
    assert result.exit_code == 0, result.output
    files = {path.name: path.read_text() for path in folder.iterdir()}
    for name in files:
        assert name in result.output
    return files


def test_files(written):
    assert set(written) == {"zcu104_top.v", "zcu104_top.json", "zcu104.xdc", "block_design.tcl"}
    for name in ("zcu104.xdc", "block_design.tcl"):
        assert "NOT RUN HERE" in written[name]


def test_side_car(written):
    side_car = json.loads(written["zcu104_top.json"])
    assert side_car["board"] == "zcu104"
    assert side_car["module"] == "zcu104_top"
    assert side_car["part"] == "xczu7ev-ffvc1156-2-e"
    assert side_car["config_hash"] == SMALL.hash
    assert side_car["target"] == "xilinx"
    assert side_car["dsp48e2"] > 256
    assert {"bits": 130, "words": 64} in side_car["memories"], "a port's read buffer"


def test_ports_are_those_of_the_text(written):
    side_car = json.loads(written["zcu104_top.json"])
    module = re.search(r"^module zcu104_top\(.*?^endmodule", written["zcu104_top.v"], re.M | re.S)
    found = {
        name: {"direction": direction, "bits": int(high or 0) + 1}
        for direction, high, name in re.findall(
            r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module.group(), re.M
        )
    }
    assert found == side_car["ports"]
    groups = {re.match(r"s_axi_|m_axi_hp\d_|", name).group() for name in found}
    assert groups == {"s_axi_", "m_axi_hp0_", ""}
    assert {name for name in found if "axi_" not in name} == {"aclk", "aresetn", "irq"}
    assert found["m_axi_hp0_rdata"] == {"direction": "input", "bits": 128}
    assert found["m_axi_hp0_araddr"] == {"direction": "output", "bits": 49}
    assert found["s_axi_awprot"] == {"direction": "input", "bits": 3}


def test_attributes_are_those_that_vivado_reads(written):
    text = written["zcu104_top.v"]
    assert set(re.findall(r"\(\* (\w+)", text)) == {
        "full_case", "ram_style", "ASYNC_REG", "X_INTERFACE_INFO", "X_INTERFACE_PARAMETER"
    }  # fmt: skip
    assert "ASSOCIATED_BUSIF s_axi:m_axi_hp0, ASSOCIATED_RESET aresetn" in text
    assert not re.search(r"\.(py|cc)\b", text)


def ports_of(top):
    """Return the names of a top level that nobody elaborates."""
    for part in (top, top._fabric):
        part._MustUse__silence = True
    return set(top.signature.members)


def test_second_clock_is_a_port_and_no_more():
    ports = ports_of(Zcu104Top(SMALL, second_clock=True))
    assert ports - ports_of(Zcu104Top(SMALL)) == {"aclk2x"}


def test_preset_has_four_ports():
    board = load_board("zcu104")
    assert board.config == PRESETS["zcu104"]
    members = ports_of(board.make_top(board.config))
    assert [p for p in range(8) if f"m_axi_hp{p}_araddr" in members] == [0, 1, 2, 3]


def test_refuses_a_bus_that_is_no_port(tmp_path):
    result = skimp("verilog", "--board", "zcu104", "--config", "tiny", "-o", tmp_path / "x")
    assert result.exit_code == 2
    assert "a bus of 64 bits: must be 128, 256 or 512" in result.output
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--board", "zcu105"), "board zcu105: unknown; choose one of"),
        (("--board", "zcu104", "--target", "generic"), "board zcu104 has its own"),
        (("--board", "zcu104", "--config", "none"), "no such preset"),
    ],
)
def test_refuses(tmp_path, arguments, message):
    result = skimp("verilog", *arguments, "-o", tmp_path / "x")
    assert result.exit_code == 2 and message in result.output
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_unknown_board():
    with pytest.raises(ConfigError, match="board zcu105: unknown; choose one of ulx3s, zcu104"):
        load_board("zcu105")
