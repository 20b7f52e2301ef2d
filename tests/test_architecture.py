"""The one-way flow of imports, and the size of files."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A package may import those to the right of it. The commands at the top may import all.
ALLOWED = {
    "comparison": {"engine", "monitoring", "evaluation", "methods", "data", "configs", "storage"},
    "monitoring": {"evaluation", "methods", "data", "configs"},
    "engine": {"monitoring", "methods", "models", "configs", "storage"},
    "evaluation": {"methods", "data", "configs", "storage"},
    "methods": {"models", "losses", "clusterers", "representations", "data", "configs", "storage"},
    "representations": {"clusterers", "configs", "storage"},
    "clusterers": {"configs", "storage"},
    "models": {"losses", "configs"},
    "losses": set(),
    "data": {"configs"},
    "configs": set(),
    "storage": set(),
}


def files() -> list[Path]:
    return sorted(file for package in ALLOWED for file in (ROOT / package).rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Top-level names that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("file", files(), ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    package = file.relative_to(ROOT).parts[0]
    own = {*ALLOWED, *(file.stem for file in ROOT.glob("*.py"))}
    assert imported(file) & own - {package} <= ALLOWED[package]


def test_the_loop_knows_no_method() -> None:
    text = (ROOT / "engine" / "loop.py").read_text()
    tree = ast.parse(text)
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    assert [m for m in modules if m.startswith("methods")] == ["methods.base"]


def test_only_one_file_knows_fabric() -> None:
    users = [f.relative_to(ROOT).as_posix() for f in files() if "lightning_fabric" in imported(f)]
    assert users == ["engine/processes.py"]


def test_training_code_knows_no_labels() -> None:
    for package in ("methods", "losses", "models", "clusterers", "representations", "engine"):
        for file in (ROOT / package).rglob("*.py"):
            attributes = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Attribute)]
            read = {ast.unparse(node) for node in attributes if node.attr in ("labels", "class_names")}
            # What KMeans and a method's own assignments call labels are clusters, not classes.
            assert not any("images" in name or "image_set" in name for name in read), file


@pytest.mark.parametrize("file", [*files(), *sorted((ROOT / "tests").glob("*.py")), *ROOT.glob("*.py")])
def test_files_stay_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 350
