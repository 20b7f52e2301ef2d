"""compare.py --k as a person calls it: a row for every k, a figure, one sentence; and never an empty table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

import compare
import eval
import predict
import train
from benchmarks.studies.known_k import mixture
from configs.load import ConfigError
from data.image_set import ImageSet
from engine import checkpoints_folder
from engine.checkpoint import read_checkpoint
from report import scoring
from report.comparison import results
from report.comparison.over_k import agreements_of, parse_k, plan_over_k
from report.comparison.schedule import Schedule, answer_command, score_command, train_command
from tests.runs import Called, call

SCRIPTS = {"train.py": train.app, "eval.py": eval.app, "predict.py": predict.app}
SMALL_DEC = (
    *("model.layers=[{channels: 4, kernel: 3}]", "model.hidden=[16]", "pretrain.epochs=2", "pretrain.min_steps=0"),
    *("initialise.redos=2", "cluster.max_epochs=1", "cluster.min_steps=0"),
)


def here(schedule: Schedule) -> None:
    """The commands of a schedule one by one in this process, which spares the seconds of new ones."""
    for run in schedule.runs:
        commands = [train_command(run, None), *(score_command(run, split, None) for split in run.splits)]
        commands += [answer_command(run, None)] if run.answers else []
        for line in commands:
            done = call(SCRIPTS[Path(line[1]).name], *line[2:])
            if done.exit_code:
                schedule.failures[run.name] = f"exit code {done.exit_code}; {done.stderr.splitlines()[-1]}"
                break


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (checkpoints_folder, scoring):
        monkeypatch.setattr(module, "CHECKPOINTS", tmp_path / "runs")
    monkeypatch.setattr(compare, "carry_out", here)


def saved(images: ImageSet, folder: Path, labels: bool = False) -> str:
    more = {"labels": images.labels.numpy()} if labels and images.labels is not None else {}
    np.savez(folder / "set.npz", images=images.images[:, 0].numpy(), **more)
    return str(folder / "set.npz")


def over_k(tmp_path: Path, *arguments: str) -> Called:
    return call(compare.app, *arguments, "--out", str(tmp_path / "out"))


def rows_in(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "over_k.jsonl").read_text().splitlines()]


def test_a_row_a_k_a_figure_and_a_sentence_without_a_word_of_labels(tmp_path: Path) -> None:
    data = saved(mixture(3, 12, seed=0), tmp_path)
    done = over_k(tmp_path, "raw-kmeans", "--data", data, "--k", "2,3,20", "--seeds", "2")
    assert done.exit_code == 0, done.stderr
    assert "k = 3: most stable over seeds (ARI 1.00) and halves (1.00), silhouette highest" in done.stdout
    assert "3 *" in done.stdout
    assert "k = 20: half of 36 images is fewer than 20 clusters" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not {"ACC", "NMI", "Watch"} & set(done.stdout.split())
    found = rows_in(tmp_path / "out")
    assert [(row["k"], row["runs"], row["halves"], row["advised"]) for row in found] == [
        *((2, 2, 2, 0), (3, 2, 2, 1), (20, 2, 0, 0))
    ]
    assert not [key for row in found for key in row if key.startswith("watch")]
    assert found[1]["space"] == "pixels (64-d)"
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {f"over_k{ending}" for ending in (*results.ENDINGS.values(), ".png")}
    runs = {folder.name for folder in (tmp_path / "runs").iterdir()} - {"phases"}
    assert {"set-raw-kmeans-k2-s0", "set-raw-kmeans-k3-s1"} < runs
    assert len(runs) == 2 * 4 + 2  # the halves have names of their own

    machine = over_k(tmp_path, "raw-kmeans", "--data", data, "--k", "3,", "--seeds", "2", "--format", "json")
    assert machine.exit_code == 2  # "3," is no number
    one = over_k(tmp_path, "raw-kmeans", "--data", data, "--k", "3", "--seeds", "1", "--format", "json")
    assert json.loads(one.stdout)["k"] == 3
    assert "k = 3 has nothing to compare with" in one.stderr


def test_a_joint_method_is_judged_in_its_pretrained_space_and_pretrains_once_a_seed(tmp_path: Path) -> None:
    data = saved(mixture(3, 12, seed=0), tmp_path, labels=True)
    settings = [part for setting in SMALL_DEC for part in ("--set", setting)]
    done = over_k(tmp_path, "DEC", "--data", data, "--k", "2,3", "--seeds", "1", *settings)
    assert done.exit_code == 0, done.stderr
    assert "Internal metrics in: pretrained latent (10-d)" in done.stdout
    assert "In the trained space, which is no" in done.stdout
    assert "Watch only" in done.stdout
    shared = [read_checkpoint(file).loop.shared for file in sorted((tmp_path / "runs").glob("*/checkpoint.pt"))]
    assert [("pretrain" in phases) for phases in shared].count(True) == 3  # of 6 runs: a seed and two halves, two k
    row = rows_in(tmp_path / "out")[0]
    assert row["silhouette"] != row["silhouette_trained"]
    assert isinstance(row["watch_only_ari"], float)


def test_what_finds_k_itself_and_what_fails_have_their_rows(tmp_path: Path) -> None:
    data = saved(mixture(3, 12, seed=0), tmp_path)
    done = over_k(tmp_path, "raw-dbscan", "raw-kmeans", "--data", data, "--k", "3,90", "--seeds", "1")
    assert done.exit_code == 1
    assert "finds k itself" in done.stdout
    assert "raw-dbscan: No advice: this method finds k itself." in " ".join(done.stdout.split())
    assert "k = 90: half of 36 images is fewer than 90 clusters; 1 of 1 runs failed" in done.stdout
    assert "k can be at most the number of different images" in " ".join(done.stderr.split())
    assert [row["k"] for row in rows_in(tmp_path / "out")][1:] == [3, 90]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--k", "x"), "--k takes numbers from 2 on"),
        (("--k", "1-4"), "--k takes numbers from 2 on"),
        (("--k", "2-3000"), "at most 200 are tried at once"),
        (("--k", "2", "--grid", "cluster.redos=1,2"), "leave --grid, --rows and --split out"),
        (("--k", "2", "--set", "clusters=4"), "leave --set clusters out"),
        ((), "is not sorted into sub-folders"),
    ],
)
def test_wrong_usage_is_said_before_anything_runs(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = over_k(tmp_path, "raw-kmeans", "--data", saved(mixture(2, 3, seed=0), tmp_path), *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


def test_numbers_of_clusters_are_listed_or_ranges() -> None:
    assert parse_k("4,6, 8,12") == (4, 6, 8, 12)
    assert parse_k("2-5") == (2, 3, 4, 5)
    assert parse_k("2-9:3,4,20") == (2, 4, 5, 8, 20)
    for text in ("", "0", "5-3", "2-6:0", "2--4", "a-b", "2,,3"):
        with pytest.raises(ConfigError, match="--k takes"):
            parse_k(text)


def test_runs_under_a_subset_answer_for_all_images() -> None:
    (tried,) = plan_over_k(["raw-kmeans"], [4], [0, 7], ["data.subset=100"], "digits", lambda config: 100)
    assert [run.config.seed for run in tried.runs] == [0, 7, 8, 9]
    assert [run.config.data.subset for run in tried.runs] == [100, 100, 50, 50]
    assert all(run.answers for run in tried.runs)
    (plain,) = plan_over_k(["raw-kmeans"], [4], [0], [], "digits", lambda config: 100)
    assert [run.answers for run in plain.runs] == [False, True, True]
    assert plain.halves[0].name == "raw-kmeans, k = 4, on a half, seed 1"


def test_agreement_is_that_of_every_two() -> None:
    answers = [np.random.default_rng(seed).integers(0, 4, 50) for seed in range(3)]
    found = agreements_of([torch.from_numpy(labels) for labels in answers])
    pairs = ((0, 1), (0, 2), (1, 2))
    assert found == pytest.approx([adjusted_rand_score(answers[i], answers[j]) for i, j in pairs])


def test_runs_that_all_collapse_are_not_stable() -> None:
    one, other, two = torch.zeros(6), torch.full((6,), 3), torch.tensor([0, 0, 0, 1, 1, 1])
    assert adjusted_rand_score(one, other) == 1
    assert agreements_of([one.long(), other.long(), two, 1 - two]) == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("source", "setting", "reason"),
    [
        ("idec", "known=0.1", None),
        ("idec", "known={}/known.csv", "the file of known labels is of all images"),
        ("features-kmeans", "representation.features.file={}/named.npz", None),
        ("features-kmeans", "representation.features.file={}/rows.npy", "rows.npy does not name its rows"),
    ],
)
def test_what_is_of_all_images_is_not_fitted_to_halves(
    source: str, setting: str, reason: str | None, tmp_path: Path
) -> None:
    (tmp_path / "known.csv").write_text("index,label\n0,a\n1,b\n")
    np.save(tmp_path / "rows.npy", np.zeros((4, 2)))
    np.savez(tmp_path / "named.npz", features=np.zeros((4, 2)), names=np.array(list("abcd")))
    (tried,) = plan_over_k([source], [2], [0], [setting.format(tmp_path)], "digits", lambda config: 4)
    assert (len(tried.whole), len(tried.halves)) == (1, 2 if reason is None else 0)
    assert tried.without_halves.startswith(reason or "")
    assert bool(tried.without_halves) == (reason is not None)
