"""compare.py as a person calls it, on digits, with real runs."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

import compare
from engine import checkpoints_folder
from report import reported, table
from report.comparison import results
from report.comparison.results import ENDINGS
from tests.forked import run_script, start
from tests.runs import ROOT, call

pytestmark = pytest.mark.forks

GRID = ("--grid", "cluster.redos=1,2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture
def _own_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a test stand beside a user's; they are called otherwise."""
    monkeypatch.setattr(checkpoints_folder, "CHECKPOINTS", folder / "runs")


class Forked:
    """A command's process, without the seconds of its imports."""

    def __init__(self, line: list[str], stdout: IO[bytes], **_: object) -> None:
        self.process = start(logged, line, stdout.name)

    def wait(self) -> int | None:
        self.process.join()
        return self.process.exitcode


def logged(line: list[str], log: str) -> None:
    with open(log, "a", encoding="utf-8") as sys.stdout:
        sys.stderr = sys.stdout
        run_script(line)


@pytest.mark.usefixtures("_own_names")
def test_systems_are_trained_scored_and_tabulated_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The commands run in processes of their own, which know nothing of the test's folder: tell them.
    from report.comparison import schedule as commands

    train = commands.train_command
    monkeypatch.setattr(
        "report.comparison.schedule.train_command",
        lambda run, root: [*train(run, root), "--out", str(run.folder), "--no-share"],
    )
    monkeypatch.setattr("report.comparison.schedule.subprocess", SimpleNamespace(Popen=Forked))
    arguments = ("raw-kmeans", "--data", "digits", "--seeds", "1", *GRID, "--out", str(folder / "out"))
    first = call(compare.app, *arguments)
    assert first.exit_code == 0, first.stderr
    assert "raw-kmeans,redos=1" in first.stdout
    assert {file.name for file in (folder / "out").iterdir()} == {
        *("table.txt", "table.md", "table.csv", "table.jsonl", "table.tex", "runs.jsonl", "quality_time.png", "hparams")
    }
    assert max(map(len, (folder / "out" / "table.txt").read_text().splitlines())) <= 80
    with open(folder / "out" / "table.csv") as file:
        assert [row["title"] for row in csv.DictReader(file)] == ["raw-kmeans,redos=1", "raw-kmeans,redos=2"]

    sessions = sorted((folder / "out" / "hparams").iterdir())
    assert [session.name for session in sessions] == ["raw-kmeans,redos=1,seed=0", "raw-kmeans,redos=2,seed=0"]
    events = EventAccumulator(str(sessions[0])).Reload()
    scores = json.loads((folder / "runs" / "digits-raw-kmeans,redos=1-s0" / "scores-train.json").read_text())
    assert events.Scalars("watch only, uses labels/nmi")[0].value == pytest.approx(scores["nmi"])

    checkpoints = sorted((folder / "runs").glob("*/checkpoint.pt"))
    before = [file.stat().st_mtime_ns for file in checkpoints]
    second = call(compare.app, *arguments)
    assert "2 of 2 runs are done already" in second.stderr
    assert second.stdout == first.stdout
    assert [file.stat().st_mtime_ns for file in checkpoints] == before

    # The rows alone, as on a machine that has none of the runs, give the same table; a seed from elsewhere joins it.
    runs = folder / "out" / "runs.jsonl"
    assert str(folder) not in runs.read_text()
    alone = call(compare.app, "--rows", str(runs), "--out", str(folder / "elsewhere"))
    assert (alone.exit_code, alone.stdout) == (0, first.stdout), alone.stderr
    other = {**json.loads(runs.read_text().splitlines()[0]), "seed": 7, "nmi": 0.0}
    (folder / "other.jsonl").write_text(runs.read_text() + json.dumps(other) + "\n")
    more = call(compare.app, *arguments, "--rows", str(folder / "other.jsonl"), "--format", "json")
    assert "2 rows of --rows are there already" in more.stderr
    means = [json.loads(line) for line in more.stdout.splitlines()]
    assert [(row["seed"], row["runs"]) for row in means] == [("0, 7", 2), ("0", 1)]
    assert means[0]["nmi"] == pytest.approx(scores["nmi"] / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("raw-kmean",), "Did you mean raw-kmeans"),
        (("none.yaml",), "cannot read the config none.yaml"),
        (("raw-kmeans", "--seeds", "x"), "--seeds takes"),
        (("raw-kmeans", "--grid", "clusters"), "--grid takes"),
        (("raw-kmeans", "--format", "html"), "formats are table"),
        (("raw-kmeans", "raw-kmeans"), "would both write"),
    ],
)
def test_wrong_usage_is_said_before_anything_runs(arguments: tuple[str, ...], message: str) -> None:
    result = call(compare.app, *arguments, "--data", "digits")
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the rows"),
        ("", "holds no rows"),
        ("title,seed", "line 1: not JSON"),
        ('{"title": "dec", "data": "digits", "seed": 0}', "line 1: no split"),
        ('{"title": "dec", "data": "digits", "split": "train", "seed": "0, 1"}', "is of several runs"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "runs.jsonl"
    if content is not None:
        file.write_text(content)
    result = call(compare.app, "--rows", str(file), "--out", str(tmp_path))
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


ODD = {
    "title": "ねこ\n±",
    "method": "dec",
    "data": "set\udce9",
    "split": "train",
    "seed": 0,
    "seconds": 2.0,
    "ari": 0.5,
}


@pytest.mark.parametrize("format", compare.FORMATS)
def test_odd_names_get_out_in_every_format(tmp_path: Path, format: str) -> None:
    file, out = tmp_path / "runs.jsonl", tmp_path / "out\udce9"
    file.write_text(json.dumps(ODD))
    arguments = ["--rows", str(file), "--out", str(out), "--format", format]
    done = CliRunner(charset="ascii").invoke(compare.app, arguments)
    assert done.exit_code == 0, done.exception
    printed = done.stdout_bytes.decode("ascii")
    written = (out / f"table{ENDINGS[format]}").read_text("utf-8")
    if format == "json":
        assert json.loads(printed)["title"] == json.loads(written)["title"] == r"ねこ\n±"
    else:
        escape = {"markdown": r"\\n", "latex": r"\textbackslash{}n"}.get(format, r"\n")
        assert f"neko{escape}+-" in printed
        assert f"ねこ{escape}±" in written
    assert (out / "quality_time.png").is_file()


def test_a_figure_that_fails_ends_with_1_and_costs_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no ink")

    monkeypatch.setattr(results, "quality_time", fails)
    (tmp_path / "runs.jsonl").write_text(json.dumps({**ODD, "title": "dec", "data": "set"}))
    (tmp_path / "learning_curves.png").write_text("of other runs")
    done = call(compare.app, "--rows", str(tmp_path / "runs.jsonl"), "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "dec" in done.stdout
    assert "1 of 1 figures could not be drawn:\n  quality_time: ValueError: no ink" in done.stderr
    assert not list(tmp_path.glob("*.png"))


def test_a_comparison_of_nothing_is_refused() -> None:
    result = call(compare.app)
    assert result.exit_code == 2
    assert "--rows FILE" in result.stderr


def test_reports_are_set_beside_ours_in_every_format() -> None:
    assert set(ENDINGS) == set(compare.FORMATS)
    assert compare.FORMATS == tuple(reported.FORMATS) == tuple(table.FORMATS)
    assert (ROOT / "configs" / "reports").is_dir()
