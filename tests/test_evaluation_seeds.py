"""Mean ± sd over seeds, against the statistics worked out by hand, and its rows in every format."""

from __future__ import annotations

import csv
import io
import json

import pytest

from report.aggregate import over_seeds
from report.rows import Row
from report.table import FORMATS, RunFacts, make_row, render


def row(seed: int, acc: float | None, split: str = "train", threads: int = 2) -> Row:
    metrics = {"n": 100, "k": 10, "k_used": 10, "acc": acc, "nmi": 0.5, "ari": 0.3, "ami": 0.4, "purity": 0.6}
    more = {"homogeneity": 0.5, "completeness": 0.5, "neighbour_purity": 0.7, "silhouette": 0.1}
    last = {"silhouette_space": "latent (10-d)", "davies_bouldin": 1.0, "calinski_harabasz": 9.0}
    run = RunFacts(
        title="dec", method="dec", seed=seed, k_asked=10, seconds={"pretrain": 10.0 + seed, "cluster": 5.0},
        images_per_second=4000.0 + seed, threads=threads, device="cpu", checkpoint=f"s{seed}.pt",
        peak_memory=1000.0 + seed, notes=(f"note {'ab'[seed % 2]}",), report="A: DEC",
    )  # fmt: skip
    metrics = {**metrics, **more, **last, "size_min": 5 + seed, "size_max": 20}
    return make_row(run, metrics, "digits", split, int(str(metrics["n"])) * (split == "train"), {"nmi": 0.6})


def test_mean_and_sample_deviation_by_hand() -> None:
    (summary,) = over_seeds([row(0, 0.5), row(1, 0.6), row(2, 0.8)])
    assert summary["acc"] == pytest.approx(1.9 / 3)
    # squared deviations from 0.6333: .01778, .00111, .02778; their sum over n - 1 = 2
    assert summary["acc_sd"] == pytest.approx((0.046667 / 2) ** 0.5, rel=1e-4)
    assert summary["nmi_sd"] == 0
    assert summary["seconds"] == pytest.approx(16)
    assert summary["seconds_pretrain_sd"] == 1
    assert (summary["seed"], summary["runs"]) == ("0, 1, 2", 3)
    assert "checkpoint" not in summary
    assert summary["notes"] == "note a (2 of 3 seeds); note b (1 of 3 seeds)"
    assert summary["reported_nmi"] == 0.6
    assert "reported_nmi_sd" not in summary
    assert summary["k"] == 10


def test_notes_that_differ_in_numbers_alone_are_one_with_their_range() -> None:
    notes = [
        "9 clusters found, log H -38.8 of vit-4; 1,234 of 60,000 images",
        "12 clusters found, log H -7.05 of vit-4; 987 of 60,000 images; 3 more",
        "10 clusters found, log H 2e-05 of vit-4; 1,500 of 60,000 images",
    ]
    (summary,) = over_seeds([{**row(seed, 0.5), "notes": text} for seed, text in enumerate(notes)])
    assert summary["notes"] == (
        "9 to 12 clusters found, log H -38.8 to 2e-05 of vit-4; 987 to 1,500 of 60,000 images; 3 more (1 of 3 seeds)"
    )
    (summary,) = over_seeds([{**row(seed, 0.5), "notes": "2 of f1; 3 of f1"} for seed in (0, 1)])
    assert summary["notes"] == "2 of f1; 3 of f1"


def test_a_number_of_clusters_that_differs_has_a_mean() -> None:
    rows = [{**row(0, 0.5), "k": 8}, {**row(1, 0.5), "k": 9}]
    (summary,) = over_seeds(rows)
    assert (summary["k"], summary["k_asked"]) == (8.5, 10)


def test_only_runs_of_one_thing_are_averaged() -> None:
    rows = [row(0, 0.5), row(0, 0.4, split="test"), row(1, 0.7), row(1, 0.6, split="test"), row(2, 0.9, threads=1)]
    summaries = over_seeds(rows)
    assert [(s["split"], s["runs"]) for s in summaries] == [("train", 2), ("test", 2), ("train", 1)]
    assert summaries[0]["acc"] == pytest.approx(0.6)
    assert summaries[2]["acc_sd"] is None


def test_a_metric_that_one_run_lacks_has_no_mean() -> None:
    (summary,) = over_seeds([row(0, 0.5), row(1, None)])
    assert summary["acc"] is None
    assert "acc_sd" not in summary


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_mean_and_deviation(name: str) -> None:
    text = render(over_seeds([row(0, 0.5), row(1, 0.7), row(0, 0.4, "test"), row(1, 0.5, "test")]), name)
    if name == "json":
        assert json.loads(text.splitlines()[0])["acc_sd"] == pytest.approx(0.1414, abs=1e-4)
    elif name == "csv":
        assert float(next(csv.DictReader(io.StringIO(text)))["acc_sd"]) == pytest.approx(0.1414, abs=1e-4)
    else:
        assert "0.600 ± 0.141" in text
    if name == "table":
        assert max(len(line) for line in text.splitlines()) <= 80
        assert "Mean ± standard deviation over the seeds" in text


@pytest.mark.parametrize("name", ["table", "markdown", "latex"])
def test_formats_for_people_show_the_reported_figures_apart(name: str) -> None:
    of_none = {**row(1, 0.7), "report": None, "title": "mine"}
    above, _, below = render([row(0, 0.5), of_none], name).partition("Beside the reports")
    assert "mine" in above
    assert "Report A" in below
    assert "0.600" in below
    assert "mine" not in below
    assert "Beside" not in render([of_none], name)


@pytest.mark.parametrize("name", ["csv", "json"])
def test_formats_for_programs_hold_the_reported_figures_as_values(name: str) -> None:
    text = render([row(0, 0.5)], name)
    assert "Beside" not in text
    assert "reported_nmi" in text
