"""What holds for all tests: one thread, shapes checked against signatures, and an order."""

from __future__ import annotations

import gc
import os
import signal
from importlib import import_module
from pathlib import Path

import pytest

# Before any library reads it. Small tensors gain nothing from more, and threads that wait for busy cores cost much.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell's background job ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# torch before faiss, as everywhere. The hook keeps what it compiles apart from Python's own cache, and so does all
# that a checked module imports: what takes long comes before it, therefore.
LARGE = """
torch faiss lightning_fabric matplotlib.figure rich.console scipy.stats sklearn.manifold sklearn.metrics typer
"""
ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "umap: has UMAP lay points out")
    config.addinivalue_line("markers", "forks: starts processes by tests.forked")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Shapes are checked in every module that says them. Before any test imports one."""
    if session.config.getoption("numprocesses", None):
        return  # its workers do all this, and it runs no test
    gc.disable()  # imports leave little garbage, and it looks through all that there is
    for library in LARGE.split():
        import_module(library)
    from hypothesis import settings
    from jaxtyping import install_import_hook

    import tests.shapes  # noqa: F401, which the hook asks for by its name

    # A busy machine is no bug, and no test is timed.
    settings.register_profile("untimed", deadline=None, max_examples=20)
    settings.load_profile("untimed")
    install_import_hook(with_shapes(), "tests.shapes.checked")


def with_shapes() -> list[str]:
    """The modules that say shapes."""
    files = [file for package in ROOT.glob("*/__init__.py") for file in package.parent.rglob("*.py")]
    return sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files if "from jaxtyping" in file.read_text()
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what forks, and UMAP, which compiles itself: both take a process many seconds, once. One worker has all."""
    marks = ("forks", "umap")
    items.sort(key=lambda item: [item.get_closest_marker(mark) is None for mark in marks])


def pytest_collection_finish() -> None:
    """What was imported stays, and the collector of garbage need not look at it again and again."""
    gc.enable()
    gc.freeze()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Some libraries change the number for the others: with numba's threads torch has as many as there are cores."""
    import faiss
    import torch

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
