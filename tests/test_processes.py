"""Two processes on the CPU: the losses of one, one checkpoint, and no shard left out."""

from __future__ import annotations

import atexit
import inspect
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import train
from configs.schema import RuntimeSettings
from data.sources import load
from engine.checkpoint import Checkpoint, read_checkpoint
from engine.environment import arithmetic
from engine.errors import UsageError
from engine.fit import fit
from engine.processes import Processes, launch, pick_device
from engine.progress import Display
from engine.step_graph import CAPTURES
from engine.whole_batch import see_whole_batch
from methods.resolve import resolve_config
from parts.phases import Compute
from tests.forked import command, run_script
from tests.runs import EVERY_STEP, SMALL, call, environment, small_train
from tests.two_processes import Ended, as_torchrun, in_several, in_two

pytestmark = pytest.mark.forks


def train_two(folder: Path, out: Path, *arguments: str, settings: tuple[str, ...] = ()) -> Ended:
    """A small run by two processes, as torchrun would start them."""
    folder.mkdir()
    return in_two(folder, run_script, small_train(out, "--devices", "2", *arguments, settings=settings))


def test_two_processes_end_with_the_losses_of_one(tmp_path: Path) -> None:
    # Noise and augmentation on, so that random numbers too must not depend on the number of processes.
    settings = (
        "pretrain.noise=0.2",
        "pretrain.augmentation.rotation=10",
        "cluster.reconstruction=true",
        "data.subset=400",
    )
    one = call(train.app, *small_train(tmp_path / "one", settings=settings)[2:])
    two = command(tmp_path, small_train(tmp_path / "two", "--devices", "2", settings=settings))  # starts the other
    assert one.exit_code == 0, one.stderr
    assert two.exit_code == 0, two.stderr
    assert two.stdout == f"{tmp_path / 'two' / 'checkpoint.pt'}\n"  # one path, from one process
    assert sorted(f.name for f in (tmp_path / "two").iterdir()) == [".lock", "checkpoint.pt", "config.yaml", "tb"]

    same_outcome(tmp_path / "one", tmp_path / "two", 2)


def same_outcome(one: Path, several: Path, count: int) -> None:
    """Losses, centroids and assignments of two runs, to the rounding of sums."""
    first, second = (read_checkpoint(folder / "checkpoint.pt") for folder in (one, several))
    assert second.environment["processes"] == count
    rows = [
        [(row["phase"], row["loss"], row.get("clustering")) for row in c.loop.history if "loss" in row]
        for c in (first, second)
    ]
    assert len(rows[0]) == len(rows[1]) == 6
    for (phase, loss, clustering), (other_phase, other_loss, other_clustering) in zip(*rows, strict=True):
        assert phase == other_phase
        assert other_loss == pytest.approx(loss, abs=1e-4)
        assert other_clustering == (None if clustering is None else pytest.approx(clustering, abs=1e-4))
    assert torch.allclose(first.method["head.centroids"], second.method["head.centroids"], atol=1e-3)
    assert first.assignments is not None
    assert second.assignments is not None
    assert (first.assignments == second.assignments).double().mean() > 0.995


def test_three_processes_end_with_the_losses_of_one(tmp_path: Path) -> None:
    """400 images in shards of 134, 134 and 132, and noise that must not depend on them."""
    settings = ("pretrain.noise=0.2", "pretrain.augmentation.rotation=10", "data.subset=400",
                "pretrain.batch_size=126", "cluster.batch_size=126")  # fmt: skip
    one = call(train.app, *small_train(tmp_path / "one", settings=settings)[2:])
    assert one.exit_code == 0, one.stderr
    done = in_several(3, tmp_path, run_script, small_train(tmp_path / "three", "--devices", "3", settings=settings))
    assert done.codes == (0, 0, 0), done.stderr
    same_outcome(tmp_path / "one", tmp_path / "three", 3)


def dropping_out(out: Path) -> list[str]:
    """The command line of a run with batch-norm, noise and dropout: what a resume must find again besides weights."""
    network = "model={name: dense, hidden: [16], dropout: 0.2, batch_norm: true}"
    line = small_train(out, "--devices", "2", settings=(network, "pretrain.noise=0.2", "data.subset=400", *EVERY_STEP))
    for layers in ("model.layers=", "model.hidden="):  # of another kind of network
        at = next(i for i, part in enumerate(line) if part.startswith(layers))
        del line[at - 1 : at + 1]
    return line


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A run of two processes that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    done = in_two(folder, run_script, dropping_out(folder / "run"))
    assert done.codes == (0, 0), done.stderr
    return read_checkpoint(folder / "run" / "checkpoint.pt")


@pytest.mark.parametrize("words", ["pretrain epoch 2/3", "cluster epoch 1/3"])
def test_two_processes_resume_in_the_middle_of_a_phase(whole: Checkpoint, tmp_path: Path, words: str) -> None:
    line = dropping_out(tmp_path / "run")
    killed = in_two(tmp_path, run_script, line, words)
    assert killed.codes[0] == -signal.SIGKILL, killed.stderr
    state = read_checkpoint(tmp_path / "run" / "checkpoint.pt").loop
    assert state.batch > 0 or state.epoch > 0
    done = in_two(tmp_path, run_script, [*line, "--resume"])
    assert done.codes == (0, 0), done.stderr
    resumed = read_checkpoint(tmp_path / "run" / "checkpoint.pt")
    for name, value in whole.method.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, resumed.method[name]), name
    losses = [[row["loss"] for row in checkpoint.loop.history if "loss" in row] for checkpoint in (whole, resumed)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nosuch"], "neither a data set's name nor a path"),
        (["--clusters", "9999"], "9999 clusters for 1415 images"),
        (["--set", "pretrain.batch_size=33"], "pretrain.batch_size is 33, which 2 processes cannot share"),
    ],
)
def test_an_error_reaches_all_processes_and_is_said_once(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = train_two(tmp_path / "said", tmp_path / "run", *arguments)
    assert done.codes == (2, 2)
    assert "".join(done.stderr).count(message) == 1
    assert "Traceback" not in "".join(done.stderr)


COLLECTIVES: dict[str, Callable[[Processes], object]] = {
    "map": lambda processes: processes.map(lambda batch: batch.float(), torch.zeros(2, 1, 1, 1, dtype=torch.uint8)),
    "gather": lambda processes: processes.gather(torch.zeros(2), 2),
    "total": lambda processes: processes.total(torch.zeros(2)),
    "together": lambda processes: processes.together(torch.zeros(2)),
    "pooled": lambda processes: processes.pooled(torch.zeros(2)),
    "once": lambda processes: processes.once(lambda: None),
    "first_then_all": lambda processes: processes.first_then_all(lambda: None),
}


@pytest.mark.parametrize("name", COLLECTIVES)
def test_no_collective_is_called_by_one_process_alone(name: str) -> None:
    processes = launch(RuntimeSettings(device="cpu"))
    COLLECTIVES[name](processes)
    with pytest.raises(RuntimeError, match=r"\(\) within once\(\): it needs all processes"):
        processes.once(lambda: COLLECTIVES[name](processes))
    COLLECTIVES[name](processes)  # what went wrong within leaves no trace


def test_every_call_of_the_protocol_that_needs_all_processes_is_among_them() -> None:
    calls = {name for name, _ in inspect.getmembers(Compute, inspect.isfunction) if not name.startswith("_")}
    assert calls - {"shard", "pick", "place"} <= COLLECTIVES.keys()


def test_float32_means_float32_unless_it_is_asked_otherwise() -> None:
    def in_tf32() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    launch(RuntimeSettings(device="cpu", tf32=True))
    assert in_tf32() == (True, True)
    launch(RuntimeSettings(device="cpu"))
    assert in_tf32() == (False, False)
    launch(RuntimeSettings(device="cpu", tf32=True))
    pick_device("cpu")
    assert in_tf32() == (False, False)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert arithmetic(gpu, RuntimeSettings()) == "float32, its products too (no TF32)"
    assert arithmetic(gpu, RuntimeSettings(tf32=True)) == "float32, its products in TF32"
    assert arithmetic(gpu, RuntimeSettings(precision="bf16-mixed")) == "precision bf16-mixed"
    assert arithmetic(cpu, RuntimeSettings(tf32=True)) == "float32"


def test_processes_that_nobody_asked_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(
        UsageError, match="4 processes were started, but runtime.devices 2 times runtime.nodes 1 makes 2"
    ):
        launch(RuntimeSettings(device="cpu", devices=2))


def shares(count: int) -> None:
    """What every process asserts of the collectives; shards are of unequal sizes, and some are empty."""
    processes = launch(RuntimeSettings(device="cpu", devices=count))
    for n in (1, 2, 4, 5, 8):
        rows = torch.arange(3 * n).view(n, 3)
        assert torch.equal(processes.gather(processes.shard(rows), n), rows), n
        images = rows.to(torch.uint8).view(n, 3, 1, 1)
        assert torch.equal(processes.map(lambda batch: batch.flatten(1) * 2.0, images), rows * 2.0), n
        share = processes.total(processes.shard(rows).sum())
        assert share == rows.sum(), n
    rank = processes.fabric.global_rank
    assert processes.once(lambda: {"from": rank}) == {"from": 0}

    # A mean over all rows, and its gradient: d/dx of (mean of x^2)^2 is 2 · mean · 2x / n.
    x = torch.arange(1.0, 13.0)
    own = x[processes.rows(12)].requires_grad_()
    pooled = processes.pooled(own.square().mean())
    assert torch.isclose(pooled, x.square().mean(), rtol=1e-6), pooled
    pooled.square().backward()
    # Each process's share of the gradient is divided by the number of processes when all are averaged.
    assert torch.allclose(own.grad / count, (2 * x.square().mean() * 2 * x / 12)[processes.rows(12)])
    with pytest.raises(RuntimeError, match=r"total\(\) within once\(\)"):
        processes.once(lambda: processes.total(torch.ones(1)))


def layers_see_the_whole_batch(count: int) -> None:
    """Batch-norm and dropout as one process has them on the whole batch, to the rounding of sums."""
    processes = launch(RuntimeSettings(device="cpu", devices=count))
    rank = processes.fabric.global_rank
    for shape, layers in (((12, 3), torch.nn.BatchNorm1d), ((12, 3, 4, 4), torch.nn.BatchNorm2d)):
        for layout in (torch.contiguous_format, torch.channels_last)[: 1 + (len(shape) == 4)]:
            whole = torch.randn(shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
            one = torch.nn.Sequential(layers(3), torch.nn.Dropout(0.4))
            two = torch.nn.Sequential(layers(3), torch.nn.Dropout(0.4))
            torch.manual_seed(1)  # processes begin at places of their own
            torch.nn.init.uniform_(one[0].weight, 0.5, 2)
            two.load_state_dict(one.state_dict())
            see_whole_batch(two, processes)
            rows = processes.rows(12)
            for step in range(2):
                all_of_it, mine = whole.clone().requires_grad_(), whole[rows].clone().requires_grad_()
                torch.manual_seed(step)
                expected = one(all_of_it)
                torch.manual_seed(step)
                found = two(mine)
                assert torch.allclose(found, expected[rows], atol=1e-5), (shape, layout, step)
                (expected.square() * torch.arange(12.0).view(-1, *[1] * (len(shape) - 1))).mean().backward()
                weights = torch.arange(12.0)[rows].view(-1, *[1] * (len(shape) - 1))
                (found.square() * weights).mean().backward()
                assert torch.allclose(mine.grad / count, all_of_it.grad[rows], atol=1e-5), (shape, layout, step)
            for name, value in one.state_dict().items():
                assert torch.allclose(value.double(), two.state_dict()[name].double(), atol=1e-5), name
            with torch.no_grad():
                two(whole[:4] if rank else whole[:3])  # no step: processes may look at other numbers of images
            torch.manual_seed(0)
            assert torch.equal(two.eval()(mine), two[0](mine))


def in_turn(count: int) -> None:
    # What is registered first is called last.
    atexit.register(lambda: print("joined" if torch.distributed.is_initialized() else "left", flush=True))
    shares(count)
    layers_see_the_whole_batch(count)
    print("fine", flush=True)
    atexit._run_exitfuncs()  # which processes of multiprocessing leave out


@pytest.mark.parametrize("count", [2, 3])
def test_shards_sums_broadcasts_and_layers(tmp_path: Path, count: int) -> None:
    done = in_several(count, tmp_path, in_turn, count)
    assert done.codes == (0,) * count, done.stderr
    assert done.stdout == ("fine\nleft\n",) * count  # all have left the group at their end


def captured_by_nobody() -> None:
    """A device whose steps could be captured, were one process alone."""
    config = resolve_config("dec", None, [*SMALL, "data.name=digits", "data.subset=128", "runtime.devices=2"], {})
    processes = launch(config.runtime)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CAPTURES, "cpu", None)  # type: ignore[arg-type]
        display = Display(quiet=not processes.is_first)
        fit(config, load("digits").subset(torch.arange(128)), processes=processes, display=display)


def test_steps_of_several_processes_are_not_captured_and_that_is_said_once(tmp_path: Path) -> None:
    done = in_two(tmp_path, captured_by_nobody)
    assert done.codes == (0, 0), done.stderr
    assert "".join(done.stderr).count("one process alone captures its steps") == 1


def test_torchrun_tells_processes_what_these_tests_tell_them(tmp_path: Path) -> None:
    script = tmp_path / "told.py"
    # A file each: two that write to one pipe come in between each other.
    script.write_text(
        "import json, os, pathlib\n"
        "here = pathlib.Path(__file__).with_name(os.environ['RANK'] + '.json')\n"
        "here.write_text(json.dumps(dict(os.environ)))\n"
    )
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", str(script)],
        env=environment(), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    for rank in range(2):
        names = json.loads((tmp_path / f"{rank}.json").read_text())
        here = as_torchrun(rank, port=0)
        assert here.keys() <= names.keys()
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK"):
            assert names[name] == here[name], name


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what is asked for")
def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="device cuda: torch finds none"):
        launch(RuntimeSettings(device="cuda"))
    with pytest.raises(UsageError, match="device cuda: torch finds none"):
        pick_device("cuda")
    assert pick_device("auto").type in ("cpu", "mps")


def test_half_precision_trains(trained: Path, tmp_path: Path) -> None:
    done = call(train.app, *small_train(tmp_path, "--precision", "bf16-mixed")[2:])
    assert done.exit_code == 0, done.stderr
    losses = [
        [row["loss"] for row in read_checkpoint(path).loop.history if row["phase"] == "pretrain"]
        for path in (tmp_path / "checkpoint.pt", trained)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]
