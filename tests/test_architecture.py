"""The one-way flow of imports, and the size of files."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# A package may import those to the right of it. The commands at the top may import all.
ALLOWED = {
    "report": {"evaluation", "engine", "methods", "models", "estimators", "data", "configs", "system"},
    "evaluation": {"methods", "estimators", "data"},
    "engine": {"methods", "parts", "models", "estimators", "data", "configs", "system"},
    "methods": {"parts", "models", "losses", "estimators", "data", "configs"},
    "parts": {"models", "losses", "estimators", "data", "configs"},
    "estimators": {"configs", "system"},
    "models": {"losses", "configs"},
    "data": {"configs", "system"},
    "losses": set(),
    "configs": set(),
    "system": set(),
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


def test_every_package_has_its_place_in_the_flow() -> None:
    aside = {"benchmarks", "tests"}
    packages = {file.parent.name for file in ROOT.glob("*/*.py")} - aside
    assert packages == set(ALLOWED)


def test_imports_go_one_way() -> None:
    own = {*ALLOWED, *(file.stem for file in ROOT.glob("*.py"))}
    against = {}
    for file in files():
        package = file.relative_to(ROOT).parts[0]
        if wrong := imported(file) & own - {package} - ALLOWED[package]:
            against[file.relative_to(ROOT).as_posix()] = sorted(wrong)
    assert against == {}


def test_scripts_import_no_scripts() -> None:
    scripts = {file.stem for file in ROOT.glob("*.py")} - {"deepclustering"}
    assert [name for name in scripts if imported(ROOT / f"{name}.py") & scripts] == []


def test_at_most_thirteen_folders_stand_at_the_top() -> None:
    kept = {file.relative_to(ROOT).parts[0] for file in ROOT.glob("*/**/*.py")} - {".venv", "build"}
    assert len(kept - {"docs", "examples", "checkpoints"}) <= 13


def test_the_loop_knows_no_method() -> None:
    text = (ROOT / "engine" / "loop.py").read_text()
    tree = ast.parse(text)
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    assert [m for m in modules if m.startswith("methods")] == ["methods.base"]


def test_only_one_file_knows_fabric() -> None:
    users = [f.relative_to(ROOT).as_posix() for f in files() if "lightning_fabric" in imported(f)]
    assert users == ["engine/processes.py"]


def test_training_code_knows_no_labels() -> None:
    readers = {}
    for package in ("methods", "parts", "losses", "models", "estimators", "engine"):
        for file in sorted((ROOT / package).rglob("*.py")):
            attributes = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Attribute)]
            read = {ast.unparse(node) for node in attributes if node.attr in ("labels", "class_names")}
            # What KMeans and a method's own assignments call labels are clusters, not classes.
            if wrong := [name for name in sorted(read) if "images" in name or "image_set" in name]:
                readers[file.relative_to(ROOT).as_posix()] = wrong
    assert readers == {}


def test_files_stay_short() -> None:
    beside = [file for folder in ("tests", "benchmarks") for file in sorted((ROOT / folder).rglob("*.py"))]
    every = [*files(), *beside, *sorted(ROOT.glob("*.py"))]
    lengths = {file.relative_to(ROOT).as_posix(): len(file.read_text().splitlines()) for file in every}
    assert {name: lines for name, lines in lengths.items() if lines > 350} == {}
