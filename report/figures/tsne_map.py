"""The latent space by t-SNE."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits
from torch import Tensor

from evaluation.predictions import Predictions
from report.figures.maps import FEWEST, draw_map
from report.selection import seeded_draw

POINTS = 3000
"""Images drawn: more would take t-SNE minutes."""

COMPONENTS = 50
"""Wider spaces are reduced to so many principal components first, as van der Maaten and Hinton do (section 4.2)."""

PERPLEXITY = 30.0


def tsne_map(predictions: Predictions) -> Figure | None:
    """A seeded draw of at most 3,000 images, by cluster and, with labels, in the same places by class.

    The draw looks at no label. None for fewer than five images, for a space that has no more than two dimensions to
    begin with, and for one in which all images lie in one place.
    """
    chosen = seeded_draw(len(predictions.images), POINTS)
    embedding = predictions.embedding[chosen]
    if len(chosen) < FEWEST or embedding.shape[1] <= 2 or bool((embedding == embedding[0]).all()):
        return None
    kind = f"PCA to {COMPONENTS}, t-SNE" if _is_wide(embedding) else "t-SNE"
    return draw_map(predictions, chosen, tsne(embedding), kind)


def tsne(embedding: Float[Tensor, "n d"]) -> Float[np.ndarray, "n 2"]:
    """The embedding in two dimensions, seeded; the global random state is left alone.

    van der Maaten and Hinton, 2008, "Visualizing data using t-SNE"; perplexity 30, or a third of the other images
    where there are few.
    """
    points = embedding.numpy()
    if _is_wide(embedding):
        points = PCA(COMPONENTS, random_state=0).fit_transform(points)
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    # Of several threads each waits for the others in every one of the thousand steps: where cores are busy, 0.3 s
    # became 30 s.
    with threadpool_limits(1):
        return np.asarray(TSNE(perplexity=perplexity, random_state=0).fit_transform(points))


def _is_wide(embedding: Float[Tensor, "n d"]) -> bool:
    """Whether there are more dimensions than `COMPONENTS`, and images enough for these."""
    return min(embedding.shape) > COMPONENTS
