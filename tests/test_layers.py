"""Imports point down, and importing gdist loads nothing heavy.

Rooms stand in ``LAYERS`` from the top; a room may import from the layers below it and from itself. Imports for typing only do
not count: they are not there when the program runs.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import gdist

LAYERS = (
    ("__main__",),
    ("cli",),
    ("inference",),
    ("api",),
    ("display", "cluster"),
    ("worker",),
    ("engine",),
    ("task",),
    ("job",),
    ("run",),
    ("optim", "schedule", "data", "membership"),
    ("description", "durable", "records", "fault_points"),
    ("errors",),
)
DEPTH = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}
HEAVY = ("torch", "ray", "numpy", "pyarrow", "torchmetrics", "pandas")
LIGHT_ROOMS = (
    "",
    ".api",
    ".cli",
    ".cluster",
    ".data",
    ".display",
    ".engine",
    ".job",
    ".membership",
    ".optim",
    ".run",
    ".schedule",
    ".task",
    ".worker",
)

PACKAGE = Path(gdist.__file__).parent


class Edge(NamedTuple):
    """``file`` imports ``module`` when it runs."""

    file: Path
    line: int
    module: str

    @property
    def source(self) -> str:
        return self.file.relative_to(PACKAGE).with_suffix("").parts[0]

    @property
    def target(self) -> str:
        return [*self.module.split("."), "gdist"][1]

    def __str__(self) -> str:
        return f"gdist/{self.file.relative_to(PACKAGE)}:{self.line} imports {self.module}"


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from imports(node)
        else:
            yield from (each for part in node.orelse for each in imports(ast.Module([part], [])))


def edges() -> list[Edge]:
    files = sorted(PACKAGE.rglob("*.py"))
    return [Edge(file, line, module) for file in files for line, module in imports(ast.parse(file.read_text()))]


def loaded_by(code: str) -> set[str]:
    """The top-level packages in a fresh Python that has run ``code``."""
    code += "\nimport sys; sys.stdout.flush(); print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_every_room_has_its_layer() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(DEPTH)


def test_imports_point_down() -> None:
    own = [edge for edge in edges() if edge.module.partition(".")[0] == "gdist" and edge.source != "__init__"]
    assert len(own) > 100, "the imports were not found"
    wrong = [edge for edge in own if edge.source != edge.target and DEPTH[edge.source] >= DEPTH.get(edge.target, -1)]
    assert not wrong, "\n".join(["these imports point up or sideways:", *map(str, wrong)])


def test_only_the_cluster_room_imports_ray() -> None:
    found = [edge for edge in edges() if edge.module.partition(".")[0] == "ray"]
    assert found, "the imports were not found"
    wrong = [edge for edge in found if edge.source != "cluster"]
    assert not wrong, "\n".join(map(str, wrong))


def test_importing_gdist_or_a_room_of_it_loads_nothing_heavy() -> None:
    for room in LIGHT_ROOMS:
        heavy = loaded_by(f"import gdist{room}").intersection(HEAVY)
        assert not heavy, f"import gdist{room} loads {', '.join(sorted(heavy))}"


def test_importing_gdist_loads_none_of_its_rooms() -> None:
    code = "import sys, gdist; assert not [name for name in sys.modules if name.startswith('gdist.')]"
    assert "gdist" in loaded_by(code)


@pytest.mark.parametrize(
    "words", [["--help"], ["train", "--help"], ["resume", "--help"], ["check", "--help"], ["predict", "--help"], ["trian"]]
)
def test_help_and_a_wrong_verb_are_answered_without_anything_heavy(words: list[str]) -> None:
    loaded = loaded_by(f"from gdist.cli import main; main({words})")
    assert "click" in loaded
    assert not loaded.intersection({*HEAVY, "rich", "pydantic", "asyncio"})


def test_public_names_are_the_exported_ones() -> None:
    tree = ast.parse(Path(gdist.__file__).read_text())
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    for_editors = {each.name: part.module for part in typed.body if isinstance(part, ast.ImportFrom) for each in part.names}
    assert for_editors == gdist._MODULE
    assert set(gdist.__all__) == set(for_editors)
    assert len(gdist.__all__) == len(set(gdist.__all__))
    for name in gdist.__all__:
        assert getattr(gdist, name).__name__ == name
    assert set(gdist.__all__) <= set(dir(gdist))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        _ = gdist.Trainer
