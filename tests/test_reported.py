"""Reported figures beside ours: which columns, what every format shows, and notes that stand once."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from evaluation.predictions import EvaluationError
from report.reported import FORMATS, beside, parts, render_reported
from report.rows import Row, Value

SUBSET, NEIGHBOURS = "fitted to 20,000 images", "others by 5 nearest neighbours"


def row(report: str | None = "A: KMeans, PCA 90 %", title: str = "a-kmeans-pca90", **more: Value) -> Row:
    made: dict[str, Value] = {
        "title": title,
        "report": report,
        "split": "train",
        "protocol": "transductive",
        "nmi": 0.51249,
        "nmi_sd": 0.0021,
        "ari": 0.3751,
        "ari_sd": 0.001,
        "acc": 0.55,
        "seconds": 12.34,
        "seconds_sd": 0.5,
        "seconds_cluster": 4.25,
        "seconds_cluster_sd": 0.11,
        "threads": 2,
        "device": "cpu",
        "peak_memory_mb": 812.4,
        "peak_memory_mb_sd": 5.0,
        "notes": None,
        "reported_nmi": 0.5131,
        "reported_seconds_cluster": 21.8,
    }
    return {key: found for key, found in {**made, **more}.items() if found is not None}


def keys(rows: list[Row]) -> list[str]:
    return [column.key for column in beside(parts(rows)[0][0].rows)]


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.split("\n")]


def test_every_reported_metric_has_its_figure_behind_it() -> None:
    assert keys([row(), row(ami=0.5, reported_ari=0.375)]) == [
        "system", "nmi", "reported_nmi", "ari", "reported_ari",
        "title", "seconds", "threads", "device", "peak_memory_mb",
    ]  # fmt: skip


def test_without_reported_figures_the_main_scores_stand_alone() -> None:
    bare = row(report=None, reported_nmi=None, reported_seconds_cluster=None)
    assert keys([bare]) == ["system", "acc", "nmi", "ari", "seconds", "threads", "device", "peak_memory_mb"]


def test_a_missing_or_infinite_reported_figure_is_none() -> None:
    assert "reported_ari" not in keys([row(reported_ari=math.nan)])


def test_rows_are_parted_by_report_in_their_order() -> None:
    found, _ = parts([row("B: x"), row("A: y: z"), row(None, title="dec"), row("B: w")])
    assert [part.report for part in found] == ["B", "A: y", ""]
    assert [[one["system"] for one in part.rows] for part in found] == [["x", "w"], ["z"], ["dec"]]


def test_notes_are_numbered_once_and_in_the_order_of_the_rows() -> None:
    found, notes = parts(
        [
            row(notes=f"{SUBSET}; {NEIGHBOURS}"),
            row(notes=None),
            row(notes=f"{NEIGHBOURS}; one thread; {NEIGHBOURS}"),
        ]
    )
    assert notes == [SUBSET, NEIGHBOURS, "one thread"]
    assert [one["notes"] for one in found[0].rows] == ["1, 2", None, "2, 3"]


def test_the_terminal_by_hand() -> None:
    text = render_reported([row(notes=SUBSET), row("A: GMM", title="a-gmm", nmi=None)], "table")
    lines = cells(text)
    assert text.startswith("Report A, split: train*\n")
    assert ["KMeans,", "PCA", "90", "%", "0.512", "±", "0.002", "0.513"] in lines
    assert ["GMM", "–", "0.513"] in lines
    assert ["GMM", "4.2", "±", "0.1", "21.8"] in lines
    assert ["KMeans,", "PCA", "90", "%", "a-kmeans-pca90", "12.3", "±", "0.5", "812", "1"] in lines
    assert ["Threads:", "2."] in lines
    assert ["Device:", "cpu."] in lines
    assert ["System", "ours", "reported"] in lines
    assert f"1. {SUBSET}" in text
    assert "* transductive" in text
    assert "– was not reported, or does not apply." in text


def test_the_terminal_keeps_to_80_columns_and_never_cuts_a_number() -> None:
    name = "A: Agglomerative (Ward, 20,000 stratified), UMAP of 32 dimensions"
    long = row(
        name,
        title="a-ward-umap32-with-a-very-long-name-of-its-own",
        notes="; ".join(f"note number {number}" for number in range(12)),
        inertia=1906655.4, inertia_sd=1234.5, reported_inertia=1904516.59,
        log_likelihood=-11.714, reported_log_likelihood=-11.71, reported_ari=0.375, seconds=123456.7,
    )  # fmt: skip
    text = render_reported([long, row(split="test", protocol="held out")], "table")
    assert max(map(len, text.split("\n"))) <= 80
    assert "…" not in text
    for number in ("1906655 ± 1234", "1904517", "-11.71", "123456.7 ± 0.5", "0.512 ± 0.002"):
        assert number in text
    # The split, which differs now, stands in a column and not in the heading.
    assert text.startswith("Report A\n")
    assert any("train*" in line for line in cells(text))
    assert any("test" in line for line in cells(text))


def test_a_run_scored_on_two_splits_costs_once() -> None:
    text = render_reported([row(), row(split="test", nmi=0.4)], "table")
    assert sum("812" in line for line in cells(text)) == 1
    assert sum("21.8" in line for line in cells(text)) == 1
    assert sum("0.513" in line for line in cells(text)) == 2


def test_markdown_by_hand() -> None:
    text = render_reported([row(notes=SUBSET), row("B: a|b_c", title="b", reported_nmi=0.5)], "markdown")
    blocks = text.split("\n\n")
    assert blocks[0] == r"### Report A, split: train\*"
    assert blocks[1].split("\n") == [
        "| System | NMI ↑ | reported | Run | Seconds ↓ | Threads | Device | Peak MiB ↓ | Notes |",
        "| :--- | ---: | ---: | :--- | ---: | ---: | :--- | ---: | :--- |",
        "| KMeans, PCA 90 % | 0.512 ± 0.002 | 0.513 | a-kmeans-pca90 | 12.3 ± 0.5 | 2 | cpu | 812 | 1 |",
    ]
    assert blocks[2] == "Seconds by phase"
    assert blocks[3].split("\n") == [
        "| System | cluster | reported |",
        "| :--- | ---: | ---: |",
        "| KMeans, PCA 90 % | 4.2 ± 0.1 | 21.8 |",
    ]
    assert r"| a\|b\_c | 0.512 ± 0.002 | 0.500 |" in blocks[5]
    assert blocks[8] == f"1. {SUBSET}"


def test_latex_by_hand() -> None:
    text = render_reported([row(notes="50 % of it"), row("B_x: y")], "latex")
    lines = text.split("\n")
    assert lines[0] == r"% needs \usepackage{booktabs}"
    assert lines[1] == r"\paragraph{Report A, split: train*}"
    assert lines[2] == r"\begin{tabular}{lrrlrrlrl}"
    assert lines[4].startswith(r"System & NMI $\uparrow$ & reported & Run &")
    assert lines[6] == r"KMeans, PCA 90 \% & 0.512 ± 0.002 & 0.513 & a-kmeans-pca90 & 12.3 ± 0.5 & 2 & cpu & 812 & 1 \\"
    assert r"KMeans, PCA 90 \% & 4.2 ± 0.1 & 21.8 \\" in lines
    assert r"\paragraph{Report B\_x, split: train*}" in lines
    at = lines.index(r"\begin{enumerate}")
    assert lines[at : at + 3] == [r"\begin{enumerate}", r"\item 50 \% of it", r"\end{enumerate}"]


def test_systems_without_a_report_are_told_apart_from_those_with_one() -> None:
    both = render_reported([row(), row(None, title="dec")], "markdown")
    assert r"### Without a report, split: train\*" in both
    assert "###" not in render_reported([row(None, title="dec")], "markdown")


@pytest.mark.parametrize("format", ["csv", "json"])
def test_programs_get_every_value(format: str) -> None:
    given = row(notes=f"{SUBSET}; {NEIGHBOURS}")
    text = render_reported([given], format)
    read = json.loads(text) if format == "json" else next(csv.DictReader(io.StringIO(text)))
    for key in ("report", "title", "notes", "device"):
        assert read[key] == given[key]
    for key in ("nmi", "nmi_sd", "reported_nmi", "seconds_cluster", "peak_memory_mb_sd"):
        assert float(read[key]) == given[key]


def test_no_rows_and_unknown_formats_are_refused() -> None:
    with pytest.raises(EvaluationError, match="unknown format 'pdf'; choose one of table, markdown, csv, json, latex"):
        render_reported([row()], "pdf")
    for format in FORMATS:
        with pytest.raises(EvaluationError, match="name at least one system"):
            render_reported([], format)


def test_phases_are_timed_apart_where_there_are_several() -> None:
    bare = {"reported_seconds_cluster": None}
    timed = row(seconds_pretrain=8.0, seconds_pretrain_sd=1.0, **bare)
    below = cells(render_reported([timed, row("A: raw", title="raw", **bare)], "table").partition("by phase")[2])
    assert ["System", "cluster", "pretrain"] in below
    assert ["KMeans,", "PCA", "90", "%", "4.2", "±", "0.1", "8.0", "±", "1.0"] in below
    assert ["raw", "4.2", "±", "0.1", "–"] in below
    assert "| KMeans, PCA 90 % | 4.2 ± 0.1 | 8.0 ± 1.0 |" in render_reported([timed, timed], "markdown")
    assert render_reported([timed, timed], "markdown").count("8.0 ± 1.0") == 1
    assert r"KMeans, PCA 90 \% & 4.2 ± 0.1 & 8.0 ± 1.0 \\" in render_reported([timed], "latex")
    assert "by phase" not in render_reported([row(**bare)], "table")
