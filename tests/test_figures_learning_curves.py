"""Learning curves: one panel a gradient phase, with the values of the history."""

from __future__ import annotations

import pytest

from report.figures.learning_curves import learning_curves


def epochs(phase: str, losses: list[float], **validation: list[float]) -> list[dict]:
    rows = []
    for epoch, loss in enumerate(losses):
        row = {"phase": phase, "epoch": epoch, "step": 10 * (epoch + 1), "loss": loss, "images_per_second": 100.0}
        rows.append(row | {key: values[epoch] for key, values in validation.items()})
    return rows


HISTORY = [
    *epochs("pretrain", [0.5, 0.2, 0.04], validation_loss=[0.6, 0.3, 0.1]),
    {"phase": "initialise", "step": 30, "seconds": 1.0},
    {"phase": "cluster", "step": 30, "notice": "a cluster is dying"},
    *epochs("cluster", [0.2, 0.3]),
]


def test_every_gradient_phase_has_its_panel():
    figure = learning_curves(HISTORY)
    assert [axes.get_title() for axes in figure.axes] == ["pretrain", "cluster"]
    first, second = figure.axes
    assert [line.get_label() for line in first.lines] == ["training", "validation"]
    assert [line.get_xdata().tolist() for line in first.lines] == [[1, 2, 3], [1, 2, 3]]
    assert [line.get_ydata().tolist() for line in first.lines] == [[0.5, 0.2, 0.04], [0.6, 0.3, 0.1]]
    assert [line.get_ydata().tolist() for line in second.lines] == [[0.2, 0.3]]
    assert first.get_legend() is not None
    assert second.get_legend() is None


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([1.0, 0.11], "linear"), ([1.0, 0.09], "log"), ([1.0, -0.5], "linear"), ([1.0, 0.0], "linear"), ([3.0], "linear")],
)
def test_the_scale_is_logarithmic_beyond_a_decade_of_positive_losses(losses, scale):
    (axes,) = learning_curves(epochs("pretrain", losses)).axes
    assert axes.get_yscale() == scale


def test_many_phases_stand_in_lines_of_three():
    figure = learning_curves([row for name in "abcd" for row in epochs(name, [1.0, 0.9])])
    figure.draw_without_rendering()
    assert [axes.get_title() for axes in figure.axes if axes.axison] == ["a", "b", "c", "d"]


def test_without_gradient_phases_there_is_nothing_to_draw():
    assert learning_curves([{"phase": "cluster", "step": 0, "seconds": 2.0}]) is None
    assert learning_curves([]) is None
