"""Progress in a notebook: one output that changes in its place. Bars on a terminal: at their end when a phase is."""

from __future__ import annotations

import io
import itertools
import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from deepclustering import DeepClustering
from engine.progress import Display, announced, readable
from system import notebook
from tests.toy import Toy, run


class Outputs:
    """Stands for IPython.display: what a cell's outputs show, and how often each was shown."""

    def __init__(self) -> None:
        self.texts: list[list[str]] = []

    def display(self, bundle: dict[str, str], raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        shown = [bundle["text/plain"]]
        self.texts.append(shown)
        return SimpleNamespace(update=lambda bundle, raw: shown.append(bundle["text/plain"]))


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    """This process is taken for a notebook's."""
    made = Outputs()
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=made))
    monkeypatch.setitem(sys.modules, "IPython.display", made)
    return made


def test_a_run_in_a_notebook_is_one_output(outputs: Outputs, capsys: pytest.CaptureFixture[str]) -> None:
    run(Toy(), display=Display())
    (states,) = outputs.texts
    pretrain, initialise, cluster = states[-1].splitlines()
    assert re.fullmatch(r"pretrain   ━{20} 100% 00:0\d loss [\d.]+  [\d,]+ img/s", pretrain)
    assert re.fullmatch(r"initialise: done in 0\.\d s", initialise)
    assert re.fullmatch(r"cluster    ━{20} 100% 00:0\d loss [\d.]+  [\d,]+ img/s", cluster)
    assert max(map(len, states[-1].splitlines())) <= 80
    assert capsys.readouterr() == ("", "")


def test_the_bar_moves_and_not_with_every_step(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(notebook, "time", SimpleNamespace(monotonic=lambda: next(clock) / 100))
    display = Display()
    display.start("pretrain", 1000)
    for step in range(1000):
        display.advance(step, 1.0, 100.0)
    display.notice("a notice")
    display.stop()
    (states,) = outputs.texts
    assert 20 < len(states) < 100  # a step takes a hundredth of a second here
    percents = [int(found.group(1)) for state in states if (found := re.search(r" (\d+)%", state))]
    assert percents == sorted(percents)
    assert len(set(percents)) > 20
    assert states[-1].startswith("a notice\npretrain ")


def test_a_fit_of_unknown_length_is_said_while_it_lasts(outputs: Outputs) -> None:
    display = Display()
    display.start("initialise", None)
    display.finish("initialise: done in 3.0 s")
    assert outputs.texts == [["initialise …", "initialise: done in 3.0 s"]]


def test_the_estimator_shows_progress_where_it_is_asked_for(outputs: Outputs) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)
    DeepClustering("raw-kmeans", 3).fit(images)
    assert outputs.texts == []
    DeepClustering("raw-kmeans", 3, verbose=True).fit(images)
    assert [states[-1].partition(" in ")[0] for states in outputs.texts] == ["cluster: done"]


def test_the_score_table_is_a_text_in_a_notebook_too(outputs: Outputs) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)
    table = DeepClustering("raw-kmeans", 3).fit(images).score_table(images)
    assert "Silhouette ↑" in repr(table)
    assert outputs.texts == []


def test_a_bar_on_a_terminal_is_full_at_the_end_of_its_phase() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    run(Toy(), display=Display(terminal))
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"pretrain +━{20} 100%", shown)
    assert re.search(r"cluster +━{20} 100%", shown)


MORE_OFTEN = "a small set is passed over more often, for as many steps as a larger one"


@pytest.mark.parametrize(
    ("steps", "epochs", "text"),
    [
        (4680, 20, "4,680 steps in 20 epochs"),
        (2000, 2000, f"2,000 steps in 2,000 epochs: {MORE_OFTEN}"),
        (100_000, 500, "100,000 steps in 500 epochs"),
    ],
)
def test_many_epochs_are_explained(steps: int, epochs: int, text: str) -> None:
    assert announced(steps, epochs) == text


def test_a_phase_that_finds_its_own_end_says_how_long_it_may_be() -> None:
    assert announced(2000, 2000, open_ended=True) == "at most 2,000 steps in 2,000 epochs"


def test_numbers_of_a_log_can_be_read() -> None:
    values = {12345.6: "12,346", 0.00012345: "0.0001234", 999.9: "999.9", 1e15: "1e+15"}
    assert {value: readable(value) for value in values} == values


def test_a_bar_that_ends_early_ends_at_its_end() -> None:
    text = io.StringIO()
    display = Display(Console(file=text, force_terminal=True, width=80, force_jupyter=False))
    display.start("cluster", 100, epochs=10)
    display.epoch("cluster", 3, 10, {})
    display.complete()
    display.stop()
    assert re.findall(r"(\d+)%", text.getvalue())[-1] == "100"
