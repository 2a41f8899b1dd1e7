"""A bench as its command, on one network and some configurations."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from skimp_compiler.tflite_writer import write_tflite


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a bench wrote: its folder, the runs of its JSON, the text of its page."""

    folder: Path
    runs: dict
    page: str

    def check_charts(self, names, write) -> None:
        """Check that the page shows the charts, and that the same runs make the same files."""
        for name in names:
            assert (self.folder / name).is_file() and f"]({name})" in self.page
        before = self._files()
        write(self.runs, self.folder)
        assert self._files() == before

    def _files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


@pytest.fixture
def run_bench(tmp_path, monkeypatch):
    """Run a bench on a network once for each configuration: entries that are there stay."""

    def run(bench, network, graph, configs) -> Written:
        path, folder = tmp_path / f"{network}.tflite", tmp_path / "results"
        path.write_bytes(write_tflite(graph))
        monkeypatch.setattr(bench, "RESULTS", folder)
        for config in configs:
            monkeypatch.setattr(sys, "argv", ["bench.py", "--config", config, str(path)])
            bench.main()
        runs = json.loads((folder / f"{bench.__name__}.json").read_text())["runs"]
        assert sorted(runs) == sorted(f"{network} {config}" for config in configs)
        return Written(folder=folder, runs=runs, page=(folder / f"{bench.__name__}.md").read_text())

    return run
