"""The figures in README, pages and configs are those of the recorded runs beside them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.studies import unequal_table
from benchmarks.studies.joint_table import SCORES, only, table
from report.comparison.recorded import read_rows
from report.rows import Row, value
from tests.runs import ROOT

RESULTS = ROOT / "docs" / "results"
JOINT = ROOT / "docs" / "joint-methods.md"
PAGES = {"joint-fashion-mnist": JOINT, "joint-fashion-mnist-20-15": JOINT, "joint-digits": JOINT}
"""By the name of the record: where its table stands."""


GRIDS = dict.fromkeys(("c-grid-ae-kmeans", "c-grid-vae-gmm"), ROOT / "docs" / "reports.md")
"""Of one seed and split."""


def scores_of(rows: list[Row], title: str, split: str) -> list[str]:
    mean: Row = only([row for row in rows if row["title"] == title and row["split"] == split])
    return [column.show(mean) for column in SCORES]


def test_every_line_of_the_tables_stands_in_its_page() -> None:
    absent = {}
    for record, page in PAGES.items():
        lines = table(read_rows(RESULTS / f"{record}.jsonl"))
        assert len(lines) > 10, record
        said = page.read_text("utf-8").splitlines()
        if missing := [line for line in lines if line not in said]:
            absent[record, page.name] = missing
    assert absent == {}


def test_the_table_of_unequal_classes_stands_in_its_page() -> None:
    said = (ROOT / "docs" / "unequal-sizes.md").read_text("utf-8").splitlines()
    assert [line for line in unequal_table.table(RESULTS / "unequal") if line not in said] == []


def test_the_readmes_rows_are_those_of_the_record() -> None:
    fashion = read_rows(RESULTS / "joint-fashion-mnist.jsonl")
    rows = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    recorded = {row["title"] for row in fashion}
    said = {line.split("`")[1]: line for line in rows if line.split("`")[1] in recorded}
    assert len(said) >= 4
    for title, line in said.items():
        scores = [*scores_of(fashion, title, "train"), *scores_of(fashion, title, "test")]
        assert line == f"| `{title}` | 5 | {' | '.join(scores)} |"


def test_every_record_has_a_page_and_every_run_both_splits() -> None:
    assert {file.stem for file in RESULTS.glob("*.jsonl")} == {*PAGES, *GRIDS}
    for record in PAGES:
        rows = read_rows(RESULTS / f"{record}.jsonl")
        runs = {
            split: {(row["title"], row["seed"]) for row in rows if row["split"] == split} for split in ("train", "test")
        }
        assert runs["train"] == runs["test"]


def test_a_grids_points_stand_in_its_page() -> None:
    for record, page in GRIDS.items():
        said, rows = page.read_text("utf-8"), read_rows(RESULTS / f"{record}.jsonl")
        assert len(rows) == 20
        for row in rows:
            nmi, ari, silhouette = (float(value(row, key) or 0) for key in ("nmi", "ari", "silhouette"))
            assert f"{nmi:.3f} / {ari:.3f} <br> {silhouette:.3f}," in said, row["title"]


def test_a_methods_page_and_its_config_say_the_same() -> None:
    fashion = read_rows(RESULTS / "joint-fashion-mnist.jsonl")
    titles = sorted({str(value(row, "title")) for row in fashion})
    assert len(titles) > 10
    absent = []
    for title in titles:
        page = ROOT / "docs" / "methods" / f"{'brb' if title.startswith('brb') else title}.md"
        config = ROOT / "configs" / f"{title}.yaml"
        fit, held_out = (scores_of(fashion, title, split) for split in ("train", "test"))
        absent += [
            (page.name, line) for line in map(" | ".join, (fit, held_out)) if line not in page.read_text("utf-8")
        ]
        line = "ACC {}, NMI {}, ARI {}".format(*fit) + f"; held out {', '.join(held_out)}."
        absent += [(config.name, line)] if line not in config.read_text("utf-8") else []
    assert absent == []


def test_records_name_no_place_of_a_machine() -> None:
    for file in RESULTS.rglob("*.jsonl"):
        assert "checkpoint" not in file.read_text("utf-8")
        assert str(Path.home()) not in file.read_text("utf-8")
