"""Runs of other settings are not averaged with one another."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import eval
from engine.checkpoint import read_checkpoint, write_checkpoint
from report.aggregate import told_apart
from report.rows import Row
from tests.runs import call


def row(checkpoint: str, title: str = "dec", split: str = "train") -> Row:
    return {"title": title, "method": "dec", "checkpoint": checkpoint, "split": split}


def config(seed: int = 0, data: str = "digits", **cluster: Any) -> dict[str, Any]:
    return {"seed": seed, "runtime": {"device": "cpu"}, "data": {"name": data}, "cluster": {"tol": 0.001, **cluster}}


def titles(rows: list[Row], settings: dict[str, dict[str, Any]]) -> list[Any]:
    return [found["title"] for found in told_apart(rows, settings)]


def test_seeds_and_machines_of_one_run_keep_their_title() -> None:
    settings = {"a": config(0), "b": {**config(1), "runtime": {"device": "cuda"}}}
    rows = [row("a"), row("a", split="test"), row("b")]
    assert told_apart(rows, settings) == rows


def test_settings_that_differ_are_named() -> None:
    settings = {"a": config(), "b": config(1), "c": config(tol=0.0), "d": config(reset={"interval": 3})}
    found = titles([row("a"), row("b"), row("c"), row("c", split="test"), row("d")], settings)
    plain, other = "dec, tol=0.001", "dec, tol=0.0"
    assert found == [plain, plain, other, other, "dec, tol=0.001, interval=3"]


def test_a_setting_that_two_others_lack_is_not_named_for_them() -> None:
    settings = {"a": config(init="he"), "b": config(init="uniform"), "c": config()}
    assert titles([row("a"), row("b"), row("c")], settings) == [
        "dec, init=he",
        "dec, init=uniform",
        "dec",
    ]


def test_the_whole_key_is_named_where_two_end_alike() -> None:
    settings = {"a": config(), "b": {**config(tol=0.0), "pretrain": {"tol": 0.5}}}
    assert titles([row("a"), row("b")], settings) == [
        "dec, cluster.tol=0.001",
        "dec, cluster.tol=0.0, pretrain.tol=0.5",
    ]


def test_other_data_and_other_titles_have_columns_of_their_own() -> None:
    settings = {"a": config(), "b": config(data="fashion-mnist", tol=0.0), "c": config(tol=0.5)}
    assert titles([row("a"), row("b"), row("c", "mine")], settings) == ["dec", "dec", "mine"]


def test_eval_averages_no_runs_of_other_settings(trained: Path, tmp_path: Path) -> None:
    paths = [trained]
    for name, seed, alpha in (("seed", 1, 1.0), ("alpha", 0, 2.0)):
        other = read_checkpoint(trained)
        other.config = copy.deepcopy(other.config)
        other.config["seed"], other.config["cluster"]["alpha"] = seed, alpha
        paths.append(tmp_path / f"{name}.pt")
        write_checkpoint(paths[-1], other)
    called = call(eval.app, *map(str, paths), "--mean", "--format", "json", "--no-neighbours")
    assert called.exit_code == 0, called.stderr
    means = [json.loads(line) for line in called.stdout.splitlines()]
    assert [(mean["title"], mean["seed"], mean["runs"]) for mean in means] == [
        ("dec, alpha=1.0", "0, 1", 2),
        ("dec, alpha=2.0", "0", 1),
    ]
