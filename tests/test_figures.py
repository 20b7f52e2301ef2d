"""Figures: what they show, and that none of them stops the others."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

import report.figures
from data.image_set import ImageSet
from evaluation.predictions import EvaluationError, Predictions
from methods.base import Assignments
from report.figures import FIGURES, draw
from report.figures.cluster_sizes import cluster_sizes
from report.figures.confusion import column_order, confusion
from report.figures.generated import decoded_centroids, mean_squared_error, reconstructions
from report.figures.latent_map import latent_map
from report.figures.maps import cluster_colours
from report.figures.samples import TYPICAL, describe, samples
from report.figures.style import PALETTE, plain
from report.tiles import grid, padded, to_rgb

N, K = 40, 4
NAMES = ("sandal", "cost $5 & $6_x", "日本語 \t with a long explanation behind it")


def predictions(d: int = 2, channels: int = 1) -> Predictions:
    """Three classes in four clusters, of which the last is empty; image number i is grey level i."""
    generator = torch.Generator().manual_seed(0)
    images = torch.arange(N, dtype=torch.uint8)[:, None, None, None].repeat(1, channels, 8, 6)
    classes = torch.arange(N) % 3
    labels = torch.where(torch.arange(N) < 30, classes, (classes + 1) % 3)
    centroids = torch.eye(K, d) * 3
    embedding = centroids[labels] + torch.randn(N, d, generator=generator)
    probabilities = torch.softmax(-torch.cdist(embedding, centroids), dim=1)
    return Predictions(
        ImageSet("made", "test", images, classes, NAMES),
        embedding,
        Assignments(labels, probabilities),
        K,
        f"latent ({d}-d)",
        centroids,
        reconstructions=images // 2,
        decoded_centroids=images[:K],
        attention=torch.softmax(torch.arange(12.0), dim=0).view(1, 4, 3).repeat(N, 1, 1),
    )


def without_labels(given: Predictions) -> Predictions:
    return replace(given, images=ImageSet("made", "test", given.images.images))


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def size_of(path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size


@pytest.mark.umap
def test_draw_writes_every_figure_and_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(matplotlib.rcParams)
    drawn = draw(predictions(d=3, channels=3), tmp_path / "new" / "figures")
    assert torch.get_num_threads() == 1  # UMAP's own threads would leave torch with as many as there are cores
    assert drawn.problem is None
    assert [path.stem for path in drawn.paths] == list(FIGURES)
    for path in drawn.paths:
        width, height = size_of(path)
        assert 500 < width < 1300
        assert height > 100
    assert dict(matplotlib.rcParams) == before


def test_draw_without_labels_and_decoder_draws_the_rest(tmp_path):
    given = replace(without_labels(predictions()), centroids=None, reconstructions=None, decoded_centroids=None)
    given = replace(given, attention=None)
    drawn = draw(replace(given, assignments=Assignments(given.assignments.labels)), tmp_path)
    assert drawn.problem is None
    names = ["cluster_sizes", "dendrogram", "latent_map", "samples"]
    assert sorted(path.stem for path in drawn.paths) == names
    assert sorted(path.stem for path in tmp_path.iterdir()) == names


def test_a_figure_that_fails_is_named_and_costs_no_other(tmp_path, monkeypatch):
    def fails(given):
        raise ValueError("no ink")

    monkeypatch.setattr(report.figures, "FIGURES", {"first": fails, "second": cluster_sizes, "third": fails})
    drawn = draw(predictions(), tmp_path)
    assert [path.name for path in drawn.paths] == ["second.png"]
    assert drawn.problem is not None
    assert drawn.problem.splitlines() == [
        "2 of 3 figures could not be drawn:",
        "  first: ValueError: no ink",
        "  third: ValueError: no ink",
    ]


def test_draw_raises_where_there_can_be_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match=r"no figures: cannot write into .*figures: Not a directory"):
        draw(predictions(), tmp_path / "file" / "figures")


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_handful_of_images_is_enough(n, tmp_path):
    given = predictions()
    few = Predictions(
        given.images.subset(torch.arange(n)),
        given.embedding[:n],
        Assignments(given.assignments.labels[:n]),
        1 if n == 1 else K,
        "latent",
        reconstructions=given.images.images[:n],
    )
    few = few if n > 1 else replace(few, assignments=Assignments(torch.zeros(1, dtype=torch.int64)))
    drawn = draw(few, tmp_path)
    assert drawn.problem is None
    assert "latent_map" not in {path.stem for path in drawn.paths}


def test_clusters_stand_in_the_order_of_their_matched_classes():
    # The best matching takes 9 (class 0, cluster 2), 8 (class 1, cluster 0); cluster 3 is larger than cluster 1.
    table = np.array([[1, 2, 9, 1], [8, 0, 7, 5]])
    assert column_order(table).tolist() == [2, 0, 3, 1]


def test_confusion_shows_shares_of_the_class():
    given = predictions()
    figure = confusion(given)
    shown = figure.axes[0].images[0].get_array()
    # By hand: the first 30 images are 10 of each class in their own cluster. The last ten, 4 of class 0 and 3 of
    # each other, are one cluster further on.
    assert shown.tolist() == [
        pytest.approx([100 * 10 / 14, 100 * 4 / 14, 0, 0]),
        pytest.approx([0, 100 * 10 / 13, 100 * 3 / 13, 0]),
        pytest.approx([100 * 3 / 13, 0, 100 * 10 / 13, 0]),
    ]
    assert "accuracy 0.750" in texts(figure)
    assert "sandal  (14)" in texts(figure)
    assert confusion(without_labels(given)) is None


def test_samples_begin_with_the_image_nearest_to_the_centroid():
    given = predictions()
    grids = [axes.images[0].get_array() for axes in samples(given).axes]
    labels, embedding = given.assignments.labels, given.embedding
    gap, height, width = 1, 8, 6
    for cluster in range(3):
        mine = (labels == cluster).nonzero().flatten()
        nearest = mine[(embedding[mine] - given.centroids[cluster]).norm(dim=1).argmin()]
        ordered = given.assignments.probabilities[mine].sort(dim=1).values
        unsure = mine[(ordered[:, -1] - ordered[:, -2]).argmin()]
        row = gap + cluster * (height + gap)
        assert grids[0][row, gap].tolist() == [int(nearest)] * 3
        assert grids[1][row, gap].tolist() == [int(unsure)] * 3
    assert grids[0].shape[1] == gap + TYPICAL * (width + gap)
    assert (grids[0][-height:] == 255).all()  # the empty cluster


def test_clusters_are_described_with_and_without_labels():
    given = predictions()
    # 10 of its own class, and 3 of class 2 that were shifted by one.
    assert describe(given, 0) == "cluster 0, 13 images\nsandal 77 %"
    assert describe(without_labels(given), 0) == "cluster 0, 13 images"
    assert describe(given, 3) == "cluster 3, empty"


def test_originals_stand_above_their_reconstructions():
    figure = reconstructions(predictions())
    shown = figure.axes[0].images[0].get_array()
    above, below = shown[1, 1].tolist(), shown[1 + 8 + 1, 1].tolist()
    assert [value // 2 for value in above] == below


def test_mean_squared_error_is_numpys():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randint(0, 256, (2, 5000, 1, 2, 2), generator=generator, dtype=torch.uint8)
    expected = np.mean((a.numpy() / 255.0 - b.numpy() / 255.0) ** 2)
    assert mean_squared_error(a, b) == pytest.approx(expected, rel=1e-6)


def test_decoded_centroids_carry_number_and_size():
    shown = texts(decoded_centroids(predictions()))
    assert "cluster 0\n13 images" in shown
    assert "cluster 3\n0 images" in shown


def test_cluster_sizes_stand_in_falling_order():
    axes = cluster_sizes(predictions()).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [14, 13, 13, 0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "0", "2", "3"]


def test_a_map_of_two_dimensions_is_the_latent_itself_whatever_the_labels():
    given = predictions(d=2)
    shuffled = replace(given, images=replace(given.images, labels=given.images.labels.flip(0)))
    for shown in (given, shuffled, without_labels(given)):
        panels = latent_map(shown).axes
        assert len(panels) == (1 if shown.images.labels is None else 2)
        for axes in panels:
            np.testing.assert_array_equal(axes.collections[0].get_offsets(), given.embedding.numpy())
    numbers = {text.get_text(): text.get_position() for text in latent_map(given).axes[0].texts}
    assert sorted(numbers) == ["0", "1", "2"]
    median = np.median(given.embedding[given.assignments.labels == 1].numpy(), axis=0)
    assert numbers["1"] == pytest.approx(tuple(median))


def test_a_matched_cluster_has_its_class_colour_and_others_have_their_own():
    given = predictions()
    assert cluster_colours(given) == list(PALETTE[:4])
    turned = replace(given, images=replace(given.images, labels=(given.images.labels + 1) % 3))
    assert cluster_colours(turned) == [PALETTE[1], PALETTE[2], PALETTE[0], PALETTE[3]]
    assert cluster_colours(without_labels(turned)) == list(PALETTE[:4])


def test_names_are_shown_as_they_are_without_mathematics():
    assert plain("cost $5 & $6_x") == r"cost \$5 & \$6_x"
    assert plain("a\tb\nc\udce9") == r"a\tb\nc\xe9"
    assert plain("x" * 30, longest=10) == "x" * 9 + "…"


def test_colours_stay_apart_with_colour_blindness_too():
    colours = np.array([[int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)] for name in PALETTE])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    # Machado et al. (2009), severity 1.
    protanopia = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deuteranopia = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    assert len(set(PALETTE)) == 24
    for matrix, least in ((np.eye(3), 0.12), (np.array(protanopia), 0.05), (np.array(deuteranopia), 0.05)):
        seen = oklab(np.clip(linear @ matrix.T, 0, 1))
        closest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
        assert closest > least


def oklab(linear: np.ndarray) -> np.ndarray:
    """Ottosson (2020), from linear sRGB."""
    cones = linear @ np.array(
        [[0.4122214708, 0.2119034982, 0.0883024619], [0.5363325363, 0.6806995451, 0.2817188376],
         [0.0514459929, 0.1073969566, 0.6299787005]]
    )  # fmt: skip
    return np.cbrt(cones) @ np.array(
        [[0.2104542553, 1.9779984951, 0.0259040371], [0.7936177850, -2.4285922050, 0.7827717662],
         [-0.0040720468, 0.4505937099, -0.8086757660]]
    )  # fmt: skip


def test_tiles_stand_row_by_row_with_white_gaps():
    images = torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None, None].expand(3, 1, 2, 3)
    tiled = grid(images, columns=2, gap=1)
    assert tiled.shape == (3, 1 + 2 * (2 + 1), 1 + 2 * (3 + 1))
    assert [int(tiled[0, y, x]) for y, x in ((0, 0), (1, 1), (1, 5), (4, 1), (4, 5))] == [255, 10, 20, 30, 255]


@pytest.mark.parametrize(("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (4, [0, 1, 2])])
def test_any_number_of_channels_can_be_shown(channels, shown):
    images = torch.arange(channels, dtype=torch.uint8)[None, :, None, None].expand(2, channels, 3, 3)
    assert to_rgb(images)[0, :, 0, 0].tolist() == shown


def test_padding_fills_with_white_and_cuts():
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    assert padded(images, 3)[:, 0, 0, 0].tolist() == [0, 0, 255]
    assert len(padded(images, 1)) == 1


def test_a_figure_can_be_saved_twice_alike():
    files = []
    for _ in range(2):
        buffer = io.BytesIO()
        confusion(without_odd_names(predictions())).savefig(buffer, format="png")
        files.append(buffer.getvalue())
    assert files[0] == files[1]


def without_odd_names(given: Predictions) -> Predictions:
    return replace(given, images=replace(given.images, class_names=("a", "b", "c")))
