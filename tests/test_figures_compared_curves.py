"""The learning curves of several systems: what is drawn, by hand."""

from __future__ import annotations

from report.figures.compared_curves import compared_curves


def history(*losses: float, phase: str = "cluster") -> list[dict[str, object]]:
    before = [{"phase": "pretrain", "epoch": 0, "loss": 99.0}, {"phase": "initialise", "seconds": 1.0}]
    return [*before, *({"phase": phase, "epoch": i, "loss": loss} for i, loss in enumerate(losses))]


def test_a_panel_a_system_and_a_line_a_seed_of_its_last_phase() -> None:
    figure = compared_curves({"dec": [history(3.0, 2.0), history(4.0)], "vade": [history(9.0, 8.0, 7.0)], "raw": [[]]})
    assert figure is not None
    shown = {axes.get_title(): axes.lines for axes in figure.axes if axes.get_title()}
    assert list(shown) == ["dec", "vade"]
    drawn = {title: [line.get_xydata().tolist() for line in lines] for title, lines in shown.items()}
    assert drawn["dec"] == [[[1.0, 3.0], [2.0, 2.0]], [[1.0, 4.0]]]
    assert drawn["vade"] == [[[1.0, 9.0], [2.0, 8.0], [3.0, 7.0]]]


def test_a_fit_after_the_training_does_not_hide_it() -> None:
    figure = compared_curves({"dekm": [[*history(5.0, 4.0), {"phase": "assign", "seconds": 2.0}]]})
    assert figure is not None
    (line,) = figure.axes[0].lines
    assert line.get_ydata().tolist() == [5.0, 4.0]


def test_nothing_trained_is_no_figure() -> None:
    assert compared_curves({"raw-kmeans": [[{"phase": "cluster", "seconds": 1.0}]]}) is None
