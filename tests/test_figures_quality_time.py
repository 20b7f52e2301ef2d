"""Quality against time: the front by brute force, labels that do not overlap, and what is left out."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from report.figures.quality_time import Point, _format_time, pareto_front, quality_time
from report.figures.style import new_figure
from report.rows import Row

SMALL = st.integers(1, 6).map(float)


def rows(count: int) -> list[Row]:
    generator = np.random.default_rng(0)
    return [
        {
            "title": f"system-{number}",
            "seconds": float(10 ** generator.uniform(0, 3)),
            "acc": float(generator.uniform(0.4, 0.6)),
            "acc_sd": 0.01,
            "nmi": float(generator.uniform(0.5, 0.7)),
            "nmi_sd": None,
        }
        for number in range(count)
    ]


def labels(axes) -> list[Annotation]:
    return [text for text in axes.texts if text.get_text()]


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=12))
def test_the_front_is_what_no_other_point_beats(pairs):
    points = [Point(seconds, quality, 0.0, str(i)) for i, (seconds, quality) in enumerate(pairs)]
    unbeaten = {
        (p.seconds, p.quality)
        for p in points
        if not any(
            q.seconds <= p.seconds and q.quality >= p.quality and (q.seconds, q.quality) != (p.seconds, p.quality)
            for q in points
        )
    }
    assert [(p.seconds, p.quality) for p in pareto_front(points)] == sorted(unbeaten)


@pytest.mark.parametrize("count", [3, 9, 30])
def test_labels_overlap_no_label_and_stay_in_the_frame(count):
    figure = quality_time(rows(count))
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in labels(axes)]
        assert len(boxes) == count
        for first, second in itertools.combinations(boxes, 2):
            common = Bbox.intersection(first, second)
            assert common is None or common.width * common.height == pytest.approx(0, abs=1e-6)
        for box in boxes:
            assert Bbox.intersection(box, axes.bbox).bounds == pytest.approx(box.bounds)


def test_few_systems_are_named_in_place():
    figure = quality_time(rows(3), ("nmi",))
    assert sorted(label.get_text() for label in labels(figure.axes[0])) == ["system-0", "system-1", "system-2"]
    assert figure.axes[0].get_ylabel() == "NMI"
    assert figure.legends == []


def test_many_systems_are_numbered_by_time_and_listed():
    given = rows(13)
    figure = quality_time(given)
    ordered = sorted(given, key=lambda row: row["seconds"])
    (legend,) = figure.legends
    listed = [text.get_text().split() for text in legend.get_texts()]
    assert listed == [[str(number), row["title"]] for number, row in enumerate(ordered, start=1)]
    for axes, key in zip(figure.axes, ("acc", "nmi"), strict=True):
        for label in labels(axes):
            row = ordered[int(label.get_text()) - 1]
            assert label.xy == (row["seconds"], row[key])


def test_points_bars_and_time_are_where_the_rows_say():
    given = [
        {"title": "a", "seconds": 10.0, "nmi": 0.5, "nmi_sd": 0.1},
        {"title": "b", "seconds": 100.0, "nmi": 0.25, "nmi_sd": 0.05},
    ]
    (axes,) = quality_time(given).axes  # no row has an accuracy, so there is no panel for it
    assert axes.get_xscale() == "log"
    segments = [np.asarray(path) for bars in axes.collections for path in bars.get_segments()]
    assert sorted(segment[:, 1].tolist() for segment in segments) == [
        pytest.approx([0.2, 0.3]),
        pytest.approx([0.4, 0.6]),
    ]
    assert sorted(segment[0, 0] for segment in segments) == [10, 100]


@pytest.mark.parametrize("seconds", [(944.19, 944.19), (944.19, 944.19 * (1 + 1e-12)), (950.0, 1500.0)])
def test_times_that_hardly_differ_have_an_axis_with_ticks(seconds):
    figure = quality_time([{"title": "a", "seconds": each, "nmi": 0.5 + each / 1e4} for each in seconds])
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    assert low < min(seconds) <= max(seconds) < high
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 3


def test_an_axis_of_no_width_that_matplotlib_would_make_is_not_asked_for():
    axes = new_figure(height=3.0).subplots()
    axes.set_xscale("log")
    axes.margins(y=0.1)
    axes.update_datalim([(1068.3888360909987, 0.5), (1068.3888360909991, 0.6)])
    axes.autoscale()  # its limits are found when they are next needed
    _format_time(axes, [1068.3888360909987])
    assert axes.get_xlim() == pytest.approx((1068.3888360909987 / 1.2, 1068.3888360909987 * 1.2))


@pytest.mark.parametrize("lacking", [{"seconds": None}, {"seconds": 0.0}, {"nmi": None}, {"nmi": float("nan")}])
def test_a_row_without_time_or_quality_is_left_out(lacking):
    given = [{"title": "a", "seconds": 10.0, "nmi": 0.5}, {"title": "b", "seconds": 20.0, "nmi": 0.6, **lacking}]
    (axes,) = quality_time(given).axes
    assert [label.get_text() for label in labels(axes)] == ["a"]
    assert quality_time([given[1]]) is None


def test_a_name_is_shown_as_it_is():
    figure = quality_time([{"title": "cost $5 & $6_x", "seconds": 1.0, "nmi": 0.5}])
    figure.draw_without_rendering()
    assert any(text.get_text() == r"cost \$5 & \$6_x" for text in figure.findobj(matplotlib.text.Text))
