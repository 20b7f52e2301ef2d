"""What holds for all tests: one thread, shapes checked against signatures, and an order."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from pathlib import Path

# Before any library reads it. Small tensors gain nothing from more, and threads that wait for busy cores cost much.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell's background job ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# isort: split
import torch  # before faiss, as everywhere

# isort: split
import faiss

# The hook keeps what it compiles apart from Python's own cache, and so does all that a checked module imports. What
# takes long comes first, therefore.
LARGE = "lightning_fabric matplotlib.figure rich.console scipy.stats sklearn.manifold sklearn.metrics typer"
for library in LARGE.split():
    import_module(library)

UNCHECKED = {"benchmarks", "configs", "tests"}
CALLS_ITSELF = "engine.contents"
"""For every part of every object, and has no shapes: to check its calls would take longer than the tests of it."""
ROOT = Path(__file__).resolve().parent.parent


def checked() -> list[str]:
    """The modules whose calls are checked."""
    packages = sorted({file.parent for file in ROOT.glob("*/__init__.py")})
    files = [file for package in packages if package.name not in UNCHECKED for file in package.rglob("*.py")]
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files}
    return sorted(modules - {package.name for package in packages} - {CALLS_ITSELF})


# Before any test module imports them. Without tests it costs nothing.
install_import_hook(checked(), "beartype.beartype")


# A busy machine is no bug, and no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Some libraries change the number for the others: with numba's threads torch has as many as there are cores."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a small run of DEC on digits, for all tests that only read one."""
    import train
    from tests.runs import call, small_train

    out = tmp_path_factory.mktemp("trained")
    done = call(train.app, *small_train(out)[2:])
    assert done.exit_code == 0, done.stderr
    return out / "checkpoint.pt"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "umap: has UMAP lay points out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """UMAP first: it compiles itself, which takes a process many seconds, so one worker is to have all of it."""
    items.sort(key=lambda item: item.get_closest_marker("umap") is None)
