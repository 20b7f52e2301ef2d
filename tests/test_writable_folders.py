"""A user without a home, who can only read the libraries and the project: each library gets a folder all the same."""

from __future__ import annotations

import os
import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from estimators.base import RepresentationError
from estimators.neighbours import neighbour_graph
from estimators.settings import UMAPSettings
from estimators.umap_layout import lay_out
from system import cache
from system import cache as libraries

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "WANTED", cache.CACHE_VARIABLE):
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """No folder can be made below a file, not even by root."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "folder"


def test_a_usual_folder_that_can_be_written_is_left_alone(tmp_path: Path) -> None:
    cache.name_folder("WANTED", "w", [tmp_path / "usual"])
    assert os.environ["WANTED"] == ""


def test_without_it_the_cache_serves(tmp_path: Path, unwritable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    cache.name_folder("WANTED", "w", [tmp_path / "usual", unwritable])
    assert os.environ["WANTED"] == str(tmp_path / "cache" / "w")


def test_without_a_cache_a_temporary_folder_of_ones_own_serves(
    unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(unwritable))
    cache.name_folder("WANTED", "w", [unwritable])
    made = Path(os.environ["WANTED"])
    assert made.is_dir()
    assert made.stat().st_mode & 0o077 == 0  # others can put no code there
    made.rmdir()


def test_what_the_user_names_counts_if_it_can_be_written(
    tmp_path: Path, unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("WANTED", str(tmp_path / "mine"))
    cache.name_folder("WANTED", "w", [unwritable])
    assert os.environ["WANTED"] == str(tmp_path / "mine")
    monkeypatch.setenv("WANTED", str(unwritable))
    cache.name_folder("WANTED", "w", [tmp_path])
    assert os.environ["WANTED"] == str(tmp_path / "cache" / "w")


def test_numba_compiles_into_a_folder_that_can_be_written(
    tmp_path: Path, unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numba

    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    found = ModuleSpec("umap", None, origin=str(unwritable / "__init__.py"))
    monkeypatch.setattr(libraries, "find_spec", lambda name: found)
    libraries.prepare_numba()
    found_by_numba = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    monkeypatch.undo()
    numba.config.reload_config()  # type: ignore[no-untyped-call]
    assert found_by_numba == str(tmp_path / "numba")


def test_umap_without_any_folder_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("no usable temporary directory")

    monkeypatch.setattr(libraries, "prepare_numba", refuse)
    points = torch.rand(8, 2)
    with pytest.raises(RepresentationError, match="no folder for what it compiles: no usable temporary"):
        lay_out(points, neighbour_graph(points, 3), UMAPSettings(), seed=0)


def test_matplotlib_has_a_folder_without_a_home(
    tmp_path: Path, unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(unwritable))
    libraries.prepare_matplotlib()
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "matplotlib")


def test_one_file_alone_imports_umap_and_whoever_draws_has_a_folder_first() -> None:
    files = [file for file in ROOT.glob("*/**/*.py") if file.parts[len(ROOT.parts)] not in ("tests", ".venv", "build")]
    importing = re.compile(r"^\s*(import|from) umap\b", re.MULTILINE)
    assert [file.name for file in files if importing.search(file.read_text("utf-8"))] == ["cache.py"]
    assert "prepare_matplotlib()" in (ROOT / "report" / "__init__.py").read_text("utf-8")
