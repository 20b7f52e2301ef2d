"""Rows in every format: what they hold, what is missing, escaping, and files that cannot be written."""

import csv
import io
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from evaluation.predictions import EvaluationError
from report.rows import Column, Row, Value
from report.table import FORMATS, RunFacts, make_row, render, write

LABEL_BASED = ("acc", "nmi", "ari", "ami", "purity", "homogeneity", "completeness", "neighbour_purity")

METRICS: dict[str, Value] = {
    "n": 60000,
    "k": 10,
    "k_used": 9,
    "acc": 0.52345,
    "nmi": 0.5,
    "ari": -0.0125,
    "ami": 0.25,
    "purity": 0.625,
    "homogeneity": 0.75,
    "completeness": 1.0,
    "silhouette": 0.125,
    "silhouette_space": "latent (10-d)",
    "davies_bouldin": 1.5,
    "calinski_harabasz": 12345.678,
    "neighbour_purity": 0.875,
    "size_min": 0,
    "size_max": 9876,
}
SHOWN = ["0.523", "0.500", "-0.013", "0.250", "0.625", "0.750", "1.000", "0.875"]


def row(
    method: str = "dec",
    data: str = "toys",
    split: str = "train",
    seed: int = 0,
    space: str = "latent (10-d)",
    seconds: dict[str, float] | None = None,
    fitted: int | None = None,
    **changed: Value,
) -> Row:
    run = RunFacts(
        title=method,
        method=method,
        seed=seed,
        k_asked=10,
        peak_memory=812.0,
        seconds={"pretrain": 100.25, "cluster": 20.5} if seconds is None else seconds,
        images_per_second=4321.0,
        threads=2,
        device="cpu",
        checkpoint=f"checkpoints/{data}-{method}-s{seed}/checkpoint.pt",
    )
    metrics = {**METRICS, "silhouette_space": space, **changed}
    n = int(str(metrics["n"]))
    fitted = (n if split == "train" else 0) if fitted is None else fitted
    return make_row(run, metrics, data, split, fitted, {})


def unlabelled(**changed: Any) -> Row:
    return row(**{**dict.fromkeys(LABEL_BASED), **changed})


def test_a_row_names_protocol_time_and_machine() -> None:
    made = row()
    assert list(made)[:6] == ["title", "method", "data", "split", "protocol", "seed"]
    time, machine = ("seconds", "seconds_pretrain", "seconds_cluster"), ("threads", "device", "peak_memory_mb")
    assert list(made)[-10:] == [*time, "images_per_second", *machine, "notes", "report", "checkpoint"]
    assert made["protocol"] == "transductive"
    assert row(split="test")["protocol"] == "held out"
    assert made["seconds"] == 120.75


def test_json_is_one_object_a_line_with_every_value() -> None:
    rows = [row(), row(split="test")]
    lines = render(rows, "json").split("\n")
    assert [json.loads(line) for line in lines] == rows
    assert json.loads(render([row()], "json")) == row()


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_does_not_apply_is_null_in_json_and_empty_in_csv(value: float | None) -> None:
    rows = [row(silhouette=value)]
    assert json.loads(render(rows, "json"))["silhouette"] is None
    (read,) = csv.DictReader(io.StringIO(render(rows, "csv")))
    assert read["silhouette"] == ""
    for format in FORMATS:
        assert not {"nan", "inf", "-inf", "None"} & set(render(rows, format).lower().split())


def test_json_has_the_promised_keys_even_when_the_row_lacks_them() -> None:
    promised = {
        *("method", "data", "split", "n", "k", "k_used", "acc", "nmi", "ari", "ami", "purity"),
        *("silhouette", "silhouette_space", "seconds"),
    }
    assert set(json.loads(render([{"method": "dec"}], "json"))) == promised


def test_csv_has_the_columns_of_all_rows_and_phases_side_by_side() -> None:
    rows = [row(), row(method="kmeans, twice", seconds={"represent": 1.5})]
    text = render(rows, "csv")
    first, second = csv.DictReader(io.StringIO(text))
    header = text.split("\n")[0].split(",")
    at = header.index("seconds")
    assert header[at : at + 4] == ["seconds", "seconds_pretrain", "seconds_cluster", "seconds_represent"]
    assert first["acc"] == "0.52345"
    assert (first["seconds_represent"], second["seconds_represent"]) == ("", "1.5")
    assert second["method"] == "kmeans, twice"


def test_markdown_by_hand() -> None:
    lines = render([row(), unlabelled(method="a|b_c")], "markdown").split("\n")
    assert lines[0] == (
        "| Method | Data | Split | Protocol | Seed | k | k used | ACC ↑ | NMI ↑ | ARI ↑ | AMI ↑ | Purity ↑ "
        "| Silhouette ↑ | Space | Seconds ↓ | Threads | Device | Peak MiB ↓ | Images/s ↑ | Notes |"
    )
    assert lines[2] == (
        "| dec | toys | train | transductive | 0 | 10 | 9 | 0.523 | 0.500 | -0.013 | 0.250 | 0.625 "
        "| 0.125 | latent (10-d) | 120.8 | 2 | cpu | 812 | 4321 | – |"
    )
    assert lines[3].startswith(r"| a\|b\_c | toys | train | transductive | 0 | 10 | 9 | – | – |")
    assert lines[1].split("|")[1:4] == [" :--- ", " :--- ", " :--- "]


def test_latex_by_hand() -> None:
    text = render([row(method=r"a_b & 50% \x~", ari=None)], "latex")
    lines = text.split("\n")
    assert lines[1] == r"\begin{tabular}{llllrrrrrrrrrlrrlrrr}"
    assert lines[3].startswith(r"Method & Data & Split & Protocol & Seed & k & k used & ACC $\uparrow$ &")
    assert r"Seconds $\downarrow$" in lines[3]
    assert lines[5].startswith(r"a\_b \& 50\% \textbackslash{}x\textasciitilde{} & toys & train &")
    assert "& 0.500 & -- & 0.250 &" in lines[5]
    assert [line for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert lines[-1] == r"\end{tabular}"


def test_the_terminal_shows_three_tables_and_says_what_labels_were_for() -> None:
    text = render([row(), row(split="test")], "table")
    lines = [line.split() for line in text.split("\n")]
    assert lines[0] == ["Results,", "data:", "toys,", "seed:", "0"]
    assert ["dec", "train*", *SHOWN] in lines
    assert ["dec", "test", "0.125", "1.500", "12345.7"] in lines
    assert ["dec", "train*", "60000", "10", "9", "0", "9876", "120.8", "812"] in lines
    for title in ("Agreement with the labels", "Internal metrics, space: latent (10-d)", "Clusters and time"):
        assert title in text
    assert "dec: pretrain 100.2, cluster 20.5" in text
    assert "* transductive" in text
    assert "held out" in text
    assert "Labels were used for scoring only." in text


def test_the_terminal_without_labels_leaves_agreement_out_and_says_why() -> None:
    text = render([unlabelled()], "table")
    assert "No agreement with labels: these images have none." in text
    assert "ACC" not in text
    assert "scoring only" not in text
    assert "Internal metrics" in text


@pytest.mark.parametrize("space", ["latent (10-d)", "pixels (784-d)"])
def test_the_terminal_keeps_to_80_columns_and_never_cuts_a_number(space: str) -> None:
    long = "umap-spectral-nearest-neighbour-extension"
    rows = [row(), row(method=long, seed=12345, split="test", space=space), unlabelled(seed=2)]
    text = render(rows, "table")
    assert max(map(len, text.split("\n"))) <= 80
    assert "umap-spectr" in text
    lines = [line.split() for line in text.split("\n")]
    assert any(line[1:] == ["12345", "test", *SHOWN] for line in lines)
    assert long in "".join(line[0] for line in lines if line)  # over several lines, but whole
    assert any(line[-8:] == ["–"] * 8 for line in lines)
    assert sum(line[-3:] == ["0.125", "1.500", "12345.7"] for line in lines) == 3
    assert any(line[-6:] == ["10", "9", "0", "9876", "120.8", "812"] for line in lines)


def test_the_terminal_names_the_space_of_every_row_when_they_differ() -> None:
    text = render([row(), row(method="kmeans", space="pixels (784-d)")], "table")
    assert "pixels (784-d)" in text
    assert "latent (10-d)" in text
    assert "within one space only" in text


def test_the_terminal_separates_data_sets() -> None:
    text = render([row(), row(data="digits"), row(split="test")], "table")
    assert text.count("Agreement with the labels") == 2
    assert text.index("data: toys") < text.index("data: digits")
    assert "[link]" in render([row(data="[link]")], "table")  # a path is no markup


def test_times_by_phase_stand_once_a_checkpoint() -> None:
    text = render([row(), row(split="test"), row(seed=1)], "table")
    assert text.count("pretrain 100.2") == 2
    assert "dec seed 1: pretrain" in text


@pytest.mark.parametrize("format", FORMATS)
def test_written_files_hold_what_is_rendered(tmp_path: Path, format: str) -> None:
    path = tmp_path / "new" / "folder" / "results.txt"
    write([row()], format, path)
    assert path.read_text(encoding="utf-8") == render([row()], format) + "\n"
    assert [file.name for file in path.parent.iterdir()] == ["results.txt"]


def test_a_written_file_replaces_the_old_one_under_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("old")
    write([row()], "csv", path)
    assert path.read_text() == render([row()], "csv") + "\n"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.csv"
    path.write_text("old")

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(EvaluationError, match="No space left on device"):
        write([row()], "csv", path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(EvaluationError, match="is not a file"):
        write([row()], "csv", tmp_path)
    with pytest.raises(EvaluationError, match=r"cannot write the results to .*table\.csv"):
        write([row()], "csv", file / "table.csv")
    with pytest.raises(EvaluationError, match=r"cannot write the results to /proc/table\.csv"):
        write([row()], "csv", Path("/proc/table.csv"))


def test_unknown_formats_and_no_rows_are_refused() -> None:
    with pytest.raises(EvaluationError, match="unknown format 'html'; choose one of table, markdown, csv"):
        render([row()], "html")
    with pytest.raises(EvaluationError, match="at least one checkpoint"):
        render([], "table")


def test_a_methods_own_criteria_stand_in_documents_too() -> None:
    mixture = {**row(), "log_likelihood": -11.5, "bic": 1234567.0}
    assert "| Log-likelihood of an image | BIC |" in render([mixture], "markdown")
    assert "| -11.500 | 1234567 |" in render([mixture], "markdown")
    assert "Log-likelihood of an image & BIC" in render([mixture], "latex")
    assert "BIC" not in render([row()], "markdown")


@pytest.mark.parametrize(("fitted", "protocol", "mark"), [(60000, "transductive", "train*"), (1, "mixed", "train(*)")])
def test_images_that_were_fitted_are_counted(fitted: int, protocol: str, mark: str) -> None:
    made = row(fitted=fitted)
    assert made["protocol"] == protocol
    text = render([made, row(split="test")], "table")
    assert mark in text
    assert ("1 of the 60,000 images were fitted to" in text) == (fitted == 1)
    assert "Without *, held out" in text


def test_balanced_accuracy_stands_where_classes_are_of_unequal_size() -> None:
    equal = {**row(), "balanced_acc": 0.5, "class_min": 60, "class_max": 89}
    unequal = {**row(split="test"), "balanced_acc": 0.41, "class_min": 60, "class_max": 90}
    for format_ in ("table", "markdown", "latex"):
        assert "Balanced" not in render([equal], format_)
        assert "Balanced" in render([equal, unequal], format_)
    assert "| ACC ↑ | Balanced ACC ↑ | NMI ↑ |" in render([unequal], "markdown")
    assert "| 0.523 | 0.410 | 0.500 |" in render([unequal], "markdown")
    text = render([unequal], "table")
    assert ["dec", "test", *SHOWN, "0.410"] in [line.split() for line in text.split("\n")]
    assert "Balanced: ACC's share of every class, mean over the classes." in text
    assert "Labels were used for scoring only." in text
    assert json.loads(render([equal], "json"))["balanced_acc"] == 0.5
    drawn = {**unequal, "notes": "classes thinned to 1/50 from first to last, seed 3 (uses labels)"}
    assert "Labels were used for scoring, and to draw the images" in render([drawn], "table")
    told = render([{**equal, "known": "70 of 1,400"}], "table")
    assert "Labels were used for scoring, and to learn from some images" in told.replace("\n", " ")
    assert "scoring only" not in told


def test_means_with_a_balanced_accuracy_keep_to_80_columns() -> None:
    scores = ("acc", "balanced_acc", "nmi", "ari", "ami", "purity", "homogeneity", "completeness", "neighbour_purity")
    means = {**row(method="umap-spectral-nearest-neighbour-extension"), "class_min": 1, "class_max": 9}
    means |= dict.fromkeys(scores, 0.123) | dict.fromkeys((f"{key}_sd" for key in scores), 0.045)
    text = render([means], "table")
    assert max(map(len, text.split("\n"))) <= 80
    assert text.count("0.123 ± 0.045") == len(scores)


def test_a_score_just_below_0_has_no_sign() -> None:
    ari = Column("ari", "ARI")
    shown = [ari.show(row(ari=value)) for value in (-0.0004, -0.0006, 0.0, -1.0)]
    assert shown == ["0.000", "-0.001", "0.000", "-1.000"]
