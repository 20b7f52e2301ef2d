"""Figures of image sets and networks: what they show."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from data.image_set import ImageSet
from report.exploration import Groups, by_class, pixel_counts
from report.figures import panels
from report.figures.brightness import brightness
from report.figures.files import draw_files
from report.figures.group_counts import group_counts
from report.figures.group_samples import COLUMNS, group_samples, one_per_group
from report.figures.mean_images import mean_images
from report.figures.network import network
from report.figures.panels import grid_shape
from report.figures.pixel_histogram import pixel_histogram
from report.figures.principal_components import Spectrum, explained_variance, principal_components, signed_picture
from report.network_layers import Layer

NAMES = ("sandal", "cost $5 & $6_x", "日本語 \t with a long explanation behind it")


def images_of(n: int = 40, channels: int = 1, classes: int = 3, labelled: bool = True) -> ImageSet:
    """Image number i is grey level i; its class is i modulo 3, and further classes are empty."""
    pixels = torch.arange(n, dtype=torch.uint8)[:, None, None, None].repeat(1, channels, 8, 6)
    if not labelled:
        return ImageSet("made", "train", pixels)
    names = (*NAMES, *(f"class {j}" for j in range(3, classes)))
    return ImageSet("made", "train", pixels, torch.arange(n) % 3, names)


def all_figures(images: ImageSet, groups: Groups) -> dict[str, Figure | None]:
    counts = pixel_counts(images.images, groups)
    ratios = torch.arange(40, 0, -1).double() / 820
    found = Spectrum(ratios, images.images[1:].float(), len(images)) if len(images) > 1 else None
    return {
        "group_counts": group_counts(images, groups),
        "mean_images": mean_images(images, groups),
        "brightness": brightness(images, groups),
        "pixel_histogram": pixel_histogram(images, counts),
        "samples": group_samples(images, groups),
        "one": one_per_group(images, groups),
        "explained_variance": explained_variance(images, found),
        "principal_components": principal_components(images, found),
    }


def texts(figure: Figure | None) -> str:
    assert figure is not None
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def place_of(figure: Figure, text: str) -> tuple[float, float]:
    (found,) = [shown for shown in figure.axes[0].texts if shown.get_text() == text]
    return found.get_position()


def centre(picture) -> float:
    left, right, _, _ = picture.get_extent()
    return (left + right) / 2


@pytest.mark.parametrize(
    ("n", "channels", "classes", "labelled", "absent"),
    [
        (40, 3, 9, True, set()),
        (40, 2, 2, True, set()),
        (40, 4, 1, False, {"group_counts", "one"}),
        (1, 1, 3, True, {"explained_variance", "principal_components"}),
    ],
)
def test_any_images_can_be_drawn(tmp_path, n, channels, classes, labelled, absent):
    images = images_of(n, channels, classes, labelled)
    figures = all_figures(images, by_class(images))
    drawn = draw_files({name: lambda figure=figure: figure for name, figure in figures.items()}, tmp_path / "new")
    assert drawn.problem is None
    assert {path.stem for path in drawn.paths} == figures.keys() - absent
    for path in drawn.paths:
        with Image.open(path) as picture:
            picture.load()
            assert picture.size[0] < 1300


def test_a_figure_that_fails_is_named_and_costs_no_other(tmp_path):
    before = dict(matplotlib.rcParams)

    def fails() -> Figure:
        raise ValueError("no ink")

    drawn = draw_files({"first": fails, "second": Figure, "third": lambda: None}, tmp_path)
    assert [path.name for path in drawn.paths] == ["second.png"]
    assert drawn.problem == "1 of 2 figures could not be drawn:\n  first: ValueError: no ink"
    assert dict(matplotlib.rcParams) == before


def test_a_bar_a_class_with_its_count():
    images = images_of(classes=4)
    figure = group_counts(images, by_class(images))
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [14, 13, 13, 0]
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown[0] == "sandal"
    assert shown[1] == r"cost \$5 & \$6_x"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first class on top


def test_average_images_stand_under_their_names():
    images = images_of(6, classes=4)
    figure = mean_images(images, by_class(images))
    # Class j has the grey levels j and j + 3.
    levels = [picture.get_array()[0, 0].tolist() for picture in figure.axes[0].images]
    assert levels == [[round(j + 1.5)] * 3 for j in range(3)]
    assert place_of(figure, "sandal")[0] == pytest.approx(centre(figure.axes[0].images[0]))
    assert place_of(figure, "empty")[0] == pytest.approx(place_of(figure, "class 3")[0])


def test_brightness_has_area_one_in_every_panel():
    images = images_of(classes=4)
    panels = brightness(images, by_class(images)).axes
    for axes in panels[:3]:
        for stairs in axes.patches:
            values, edges, _ = stairs.get_data()
            assert (values * np.diff(edges)).sum() == pytest.approx(1)
            assert edges[0] == pytest.approx(0)
            assert edges[-1] == pytest.approx(39 / 255)
    assert [len(axes.patches) for axes in panels] == [2, 2, 2, 1]  # nothing but all images for the empty class


def test_the_pixel_histogram_shows_shares_and_turns_logarithmic_where_black_dominates():
    images = images_of(40)
    axes = pixel_histogram(images, pixel_counts(images.images, by_class(images))).axes[0]
    values = axes.patches[0].get_data().values
    np.testing.assert_allclose(values, [1 / 40] * 40 + [0] * 216)
    assert axes.get_yscale() == "linear"

    dark = ImageSet("dark", "train", torch.where(images.images < 36, 0, images.images))
    figure = pixel_histogram(dark, pixel_counts(dark.images, by_class(dark)))
    assert figure.axes[0].get_yscale() == "log"
    assert "90.0 % are 0 (black), 0.0 % are 255 (white)" in texts(figure)


def test_every_channel_has_its_line():
    images = images_of(channels=3)
    axes = pixel_histogram(images, pixel_counts(images.images, by_class(images))).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["red", "green", "blue"]
    assert len({patch.get_edgecolor() for patch in axes.patches}) == 3


def test_samples_are_of_the_class_beside_them():
    images = images_of(classes=4)
    figure = group_samples(images, by_class(images))
    axes, gap, height, width = figure.axes[0], 1, 8, 6
    shown = axes.images[0].get_array()
    for group in range(3):
        row = shown[gap + group * (height + gap), gap :: width + gap, 0]
        assert len(set(row[:COLUMNS].tolist())) == COLUMNS
        assert {int(level) % 3 for level in row[:COLUMNS]} == {group}
    assert (shown[-height:] == 255).all()  # the empty class
    assert axes.get_yticklabels()[0].get_text() == "sandal (14)"
    assert "samples of every class" in texts(figure)


def test_one_image_of_every_class_is_the_first_of_its_samples():
    images = images_of(classes=4)
    one, many = one_per_group(images, by_class(images)), group_samples(images, by_class(images))
    for group in range(3):
        level = one.axes[0].images[group].get_array()[0, 0, 0]
        assert level == many.axes[0].images[0].get_array()[1 + group * 9, 1, 0]
    assert "empty" in texts(one).splitlines()


def test_images_without_groups_are_shown_as_one():
    images = images_of(labelled=False)
    groups = by_class(images)
    assert group_counts(images, groups) is None
    assert one_per_group(images, groups) is None
    assert len(brightness(images, groups).axes) == 1
    assert "samples of all images" in texts(group_samples(images, groups))


def test_explained_variance_marks_the_components_needed():
    found = Spectrum(torch.tensor([0.5, 0.3, 0.12, 0.04, 0.04]).double(), torch.ones(2, 1, 8, 6), 40)
    axes = explained_variance(images_of(), found).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.5, 0.8, 0.92, 0.96, 1])
    marks = [text.get_text() for text in axes.get_legend().get_texts()]
    assert marks == ["80%: 2", "90%: 3", "95%: 4"]


def test_components_are_signed_and_carry_their_share():
    found = Spectrum(torch.tensor([0.75, 0.25]).double(), torch.eye(2).view(2, 1, 2, 1) * -0.5, 40)
    figure = principal_components(images_of(), found)
    first, second = figure.axes[0].images
    assert place_of(figure, "1: 75.0 %")[0] == pytest.approx(centre(first))
    assert place_of(figure, "2: 25.0 %")[0] == pytest.approx(centre(second))
    assert centre(first) < centre(second)
    assert first.get_array().tolist() == [[-1], [0]]
    assert first.get_clim() == (-1, 1)
    assert "the first 2 principal components explain 100.0 % of the variance" in texts(figure)


def test_a_component_in_colour_is_grey_where_it_is_zero():
    component = np.zeros((3, 1, 2), dtype=np.float32)
    component[:, 0, 1] = [2, -4, 0]
    np.testing.assert_allclose(signed_picture(component), [[[0.5, 0.5, 0.5], [0.75, 0, 0.5]]])


def test_images_that_were_drawn_are_counted_in_the_title():
    found = Spectrum(torch.ones(1).double(), torch.ones(1, 1, 8, 6), 25)
    assert "40 images, 25 drawn" in texts(explained_variance(images_of(), found))
    assert "40 images, 25 drawn" in texts(principal_components(images_of(), found))


def test_a_block_a_layer_as_wide_as_its_output():
    layers = [Layer("encoder", "Conv2d 3×3", (4, 5, 5), 40), Layer("encoder", "Linear", (10,), 1010)]
    layers += [Layer("decoder", "Reshape", (1, 10), 0)]
    figure = network("dec, made", (1, 10, 10), layers)
    widths = [patch.get_width() for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    # 100, 100, 10 and 10 values; the widest block is the image's.
    assert widths[0] == widths[1]
    assert widths[2] == widths[3]
    assert widths[0] > widths[2] > 0.5 * widths[0]
    shown = texts(figure).splitlines()
    assert "dec, made: 1,050 parameters" in shown
    assert [shown.count(text) for text in ("encoder", "decoder", "4×5×5", "1,010", "–")] == [1, 1, 1, 1, 1]


def test_without_layers_there_is_no_network():
    assert network("raw-kmeans, made", (1, 8, 8), []) is None


@pytest.mark.parametrize(("panels", "shape"), [(1, (1, 1)), (5, (1, 5)), (6, (2, 3)), (11, (3, 4)), (30, (6, 5))])
def test_grids_are_filled_evenly(panels, shape):
    assert grid_shape(panels, 5) == shape


def test_what_does_not_fit_a_page_is_left_out_and_the_title_says_so(monkeypatch):
    monkeypatch.setattr(panels, "MOST", 4)
    images = images_of(classes=1000)
    figures = all_figures(images, by_class(images))
    for name in ("group_counts", "mean_images", "brightness", "samples", "one"):
        assert "of every class (the first 4 of 1,000)" in texts(figures[name]), name
    assert len(figures["brightness"].axes) == 4
    assert len(figures["group_counts"].axes[0].patches) == 4
