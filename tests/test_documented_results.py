"""The figures in README, pages and configs are those of the recorded runs beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.joint_table import SCORES, only, table
from comparison.recorded import read_rows
from evaluation.rows import Row, value
from tests.runs import ROOT

RESULTS = ROOT / "docs" / "results"
JOINT = ROOT / "docs" / "joint-methods.md"
PAGES = {"joint-fashion-mnist": ROOT / "README.md", "joint-fashion-mnist-20-15": JOINT, "joint-digits": JOINT}
"""By the name of the record: where its table stands."""
FASHION = read_rows(RESULTS / "joint-fashion-mnist.jsonl")
TITLES = sorted({str(value(row, "title")) for row in FASHION})


def scores_of(title: str, split: str) -> list[str]:
    mean: Row = only([row for row in FASHION if row["title"] == title and row["split"] == split])
    return [column.show(mean) for column in SCORES]


@pytest.mark.parametrize("record", PAGES)
def test_every_line_of_the_table_stands_in_its_page(record: str) -> None:
    lines = table(read_rows(RESULTS / f"{record}.jsonl"))
    page = PAGES[record].read_text("utf-8").splitlines()
    assert len(lines) > 10
    assert [line for line in lines if line not in page] == []


def test_every_record_has_a_page_and_every_run_both_splits() -> None:
    assert {file.stem for file in RESULTS.glob("*.jsonl")} == set(PAGES)
    for record in PAGES:
        rows = read_rows(RESULTS / f"{record}.jsonl")
        runs = {
            split: {(row["title"], row["seed"]) for row in rows if row["split"] == split} for split in ("train", "test")
        }
        assert runs["train"] == runs["test"]


@pytest.mark.parametrize("title", TITLES)
def test_a_methods_page_and_its_config_say_the_same(title: str) -> None:
    page = "brb" if title.startswith("brb") else title
    text = (ROOT / "docs" / "methods" / f"{page}.md").read_text("utf-8")
    header = (ROOT / "configs" / f"{title}.yaml").read_text("utf-8")
    for split in ("train", "test"):
        assert " | ".join(scores_of(title, split)) in text
    acc, nmi, ari = scores_of(title, "train")
    assert f"ACC {acc}, NMI {nmi}, ARI {ari}; held out {', '.join(scores_of(title, 'test'))}." in header


def test_records_name_no_place_of_a_machine() -> None:
    for file in RESULTS.glob("*.jsonl"):
        assert "checkpoint" not in file.read_text("utf-8")
        assert str(Path.home()) not in file.read_text("utf-8")
