"""After `pip install -e .` the import works from anywhere."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest

from deepclustering import PACKAGES
from tests.runs import ROOT

CODE = """
from deepclustering import DeepClustering, load
import deepclustering, data
print(deepclustering.__file__, data.__file__, callable(load), DeepClustering("idec").get_params()["method"])
"""


def test_an_editable_install_is_imported_from_another_folder(tmp_path: Path) -> None:
    """A copy of this checkout, since pip leaves files in it, in an environment that has the packages of this one."""
    for package in ("pip", "setuptools"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed, and the test downloads nothing")
    checkout, environment, elsewhere = tmp_path / "checkout", tmp_path / "environment", tmp_path / "elsewhere"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, checkout / package)
    for name in ("deepclustering.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    venv.create(environment, symlinks=True)
    here = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    # What such files of the packages' folder itself name, another editable install among them, is not followed.
    (here / "packages.pth").write_text(sysconfig.get_path("purelib"))
    python = environment / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-e", checkout]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    elsewhere.mkdir()
    run = subprocess.run([python, "-c", CODE], cwd=elsewhere, capture_output=True, text=True, check=False)
    found = [checkout / "deepclustering.py", checkout / "data" / "__init__.py", True, "idec"]
    assert run.stdout.split() == [str(part) for part in found], run.stderr
