"""What ruff cannot say: where memories and instances may stand, and who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {
    "skimp": ROOT / "hw" / "skimp",
    "skimp_sim": ROOT / "sim" / "skimp_sim",
    "skimp_compiler": ROOT / "compiler" / "skimp_compiler",
    "skimp_boards": ROOT / "boards" / "skimp_boards",
}
NO_AMARANTH = (
    "config.py",
    "configs.py",
    "isa.py",
    "regs.py",
    "docs.py",
    "link/format.py",
    "rlc/format.py",
)
"""Modules of hw/skimp that drivers and compiler load without the HDL."""


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports; of `from a import b` both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full, not relative"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def uses(names: set[str], package: str) -> bool:
    return any(name == package or name.startswith(package + ".") for name in names)


def calls(path: Path, function: str) -> list[int]:
    """Return the lines that call a function of that name."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id == function)
            or (isinstance(node.func, ast.Attribute) and node.func.attr == function)
        )
    ]


def test_finds_what_it_looks_for(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text("from amaranth.lib import memory\nm.x = Instance('A')\nhdl.Instance('B')\n")
    assert uses(imports(sample), "amaranth.lib.memory")
    assert calls(sample, "Instance") == [2, 3]


@pytest.mark.parametrize("path", modules(ROOT / "hw"), ids=lambda p: str(p.relative_to(ROOT)))
def test_hardware_module(path):
    place = path.relative_to(SOURCES["skimp"])
    names = imports(path)
    if place.parts[0] != "mem":
        assert not uses(names, "amaranth.lib.memory"), "memories stand in hw/skimp/mem"
    if place.parts[0] != "prim":
        assert not calls(path, "Instance"), "primitives stand in hw/skimp/prim"
    if str(place) in NO_AMARANTH:
        assert not uses(names, "amaranth"), "is loaded where there is no Amaranth"
    else:
        assert not uses(names, "__future__"), "postponed annotations empty a Component"
    for other in SOURCES:
        if other != "skimp":
            assert not uses(names, other), f"hardware does not know {other}"


@pytest.mark.parametrize(
    ("folder", "forbidden", "but"),
    [
        (
            "compiler/skimp_compiler",
            ("amaranth", "skimp_sim", "skimp_boards"),
            ("skimp_sim.golden",),
        ),
        ("sim/skimp_sim/golden", ("amaranth", "skimp", "skimp_boards"), ()),
        ("sim/skimp_sim/driver", ("amaranth", "skimp_compiler", "skimp_boards"), ()),
        ("sim/skimp_sim", ("skimp_boards",), ()),
    ],
)
def test_import_direction(folder, forbidden, but):
    for path in modules(ROOT / folder):
        names = {n for n in imports(path) if not any(uses({n}, b) for b in but)}
        # `from skimp_sim import golden` names the package too.
        names -= {b.rpartition(".")[0] for b in but}
        for package in forbidden:
            assert not uses(names, package), f"{path.relative_to(ROOT)} imports {package}"


def test_golden_model_stands_alone():
    """The golden model judges compiler and hardware: of ours it knows the graph only."""
    for path in modules(ROOT / "sim" / "skimp_sim" / "golden"):
        for name in imports(path):
            ours = name.split(".")[0] in SOURCES
            allowed = uses({name}, "skimp_sim.golden") or uses({name}, "skimp_compiler.graph")
            assert not ours or allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", SOURCES)
def test_says_what_it_exports(package):
    missing = [
        str(path.relative_to(ROOT))
        for path in modules(SOURCES[package])
        if path.name not in ("__init__.py", "__main__.py")
        and not any(
            isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        )
    ]
    assert not missing, "modules without __all__"
