"""The dendrogram and the t-SNE map: what stands where, and when there is nothing to draw."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch

from data.image_set import ImageSet
from evaluation.predictions import Predictions
from methods.base import Assignments
from report.figures.dendrogram import dendrogram
from report.figures.tsne_map import tsne, tsne_map


def predictions(n: int = 30, d: int = 3, clusters: int = 4) -> Predictions:
    """Cluster j < 3 lies at 10 j² in every dimension; the last cluster is empty. Image number i is grey level i."""
    generator = torch.Generator().manual_seed(0)
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 4, 4)
    labels = torch.arange(n) % 3
    embedding = 10.0 * labels[:, None] ** 2 + torch.randn(n, d, generator=generator)
    return Predictions(
        ImageSet("made", "test", images, labels, ("a", "b", "c")),
        embedding,
        Assignments(labels),
        clusters,
        f"z ({d}-d)",
    )


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_every_branch_of_the_dendrogram_ends_at_its_strip():
    given = predictions()
    figure = dendrogram(given)
    tree, strips = figure.axes
    rows = [label.get_text().splitlines()[0] for label in strips.get_yticklabels()]
    assert sorted(rows) == [f"cluster {j}, 10 images" for j in range(3)]  # the empty one is left out
    middles = dict(zip(rows, strips.get_yticks(), strict=True))
    shown = strips.images[0].get_array()
    for cluster in range(3):
        middle = middles[f"cluster {cluster}, 10 images"]
        assert shown[int(middle), 2, 0] % 3 == cluster  # a grey level of this cluster's images
    branches = [np.asarray(path.vertices) for path in tree.collections[0].get_paths()]
    ends = sorted(y for branch in branches for x, y in branch if x == 0)
    assert ends == pytest.approx(sorted(middles.values()))
    # Clusters 0 and 1 meet first, halfway between their strips.
    first = min(branches, key=lambda branch: branch[:, 0].max())
    near = [middles["cluster 0, 10 images"], middles["cluster 1, 10 images"]]
    assert sorted({first[0, 1], first[-1, 1]}) == pytest.approx(sorted(near))


def test_the_panels_of_the_dendrogram_have_one_height():
    figure = dendrogram(predictions())
    figure.canvas.draw()
    tree, strips = (axes.get_position() for axes in figure.axes)
    assert (tree.y0, tree.y1) == pytest.approx((strips.y0, strips.y1), abs=1e-3)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_a_single_cluster_has_no_dendrogram():
    given = predictions()
    assert dendrogram(replace(given, assignments=Assignments(torch.zeros(30, dtype=torch.int64)))) is None


def test_clusters_in_one_place_can_be_drawn():
    given = predictions()
    figure = dendrogram(replace(given, embedding=torch.zeros(30, 3)))
    figure.canvas.draw()
    assert len(figure.axes) == 2


def test_the_map_is_seeded_whatever_the_labels_and_says_what_it_is():
    given = predictions(n=60)
    before = torch.get_rng_state()
    first = tsne_map(given)
    shuffled = tsne_map(replace(given, images=replace(given.images, labels=given.images.labels.flip(0))))
    bare = tsne_map(replace(given, images=ImageSet("made", "test", given.images.images)))
    assert torch.equal(before, torch.get_rng_state())
    assert [len(figure.axes) for figure in (first, shuffled, bare)] == [2, 2, 1]
    places = first.axes[0].collections[0].get_offsets()
    for figure in (first, shuffled, bare):
        for axes in figure.axes:
            np.testing.assert_array_equal(axes.collections[0].get_offsets(), places)
    assert "made (test), 60 images\nz (3-d), t-SNE" in texts(first)


def test_the_map_keeps_clusters_that_are_far_apart_together():
    given = predictions(n=60)
    places = tsne(given.embedding)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(axis=1) % 3 == np.arange(60) % 3).all()


def test_a_wide_space_is_reduced_first():
    assert "made (test), 60 images\nz (70-d), PCA to 50, t-SNE" in texts(tsne_map(predictions(n=60, d=70)))


@pytest.mark.parametrize("given", [predictions(n=4), predictions(d=2), predictions(d=1)])
def test_there_is_no_map_of_a_handful_or_of_what_is_flat(given):
    assert tsne_map(given) is None


def test_there_is_no_map_of_one_place():
    assert tsne_map(replace(predictions(), embedding=torch.ones(30, 3))) is None
