"""The latent space by UMAP."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from sklearn.metrics.pairwise import euclidean_distances
from torch import Tensor

from evaluation.predictions import Predictions
from report.figures.maps import FEWEST, draw_map
from report.selection import seeded_draw
from system.cache import umap_library

POINTS = 4000
"""Below 4,096 points UMAP searches neighbours exactly, and the points of a map stay distinguishable."""


def latent_map(predictions: Predictions) -> Figure | None:
    """A seeded draw of at most 4,000 images, by cluster and, with labels, in the same places by class.

    The map is UMAP's (McInnes, Healy and Melville, 2018) with its default settings and seed 0; a latent space
    of two dimensions is shown as it is. The draw looks at no label. None for fewer than five images, where UMAP's
    spectral initialisation fails.
    """
    placed = map_places(predictions)
    if placed is None:
        return None
    return draw_map(predictions, *placed, kind="" if predictions.embedding.shape[1] == 2 else "UMAP")


def map_places(predictions: Predictions) -> tuple[Int64[Tensor, " m"], Float[np.ndarray, "m 2"]] | None:
    """The images that a map shows and their places on it."""
    chosen = seeded_draw(len(predictions.images), POINTS)
    if len(chosen) < FEWEST:
        return None
    embedding = predictions.embedding[chosen]
    return chosen, embedding.numpy() if embedding.shape[1] == 2 else umap(embedding)


def umap(embedding: Float[Tensor, "n d"]) -> Float[np.ndarray, "n 2"]:
    """The embedding in two dimensions, seeded; the global random state is left alone."""
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        # umap warns about a missing TensorFlow, about graphs in pieces, which clusters are, and so on.
        warnings.simplefilter("ignore")
        # umap would compute these distances in a Python loop over all pairs, most of its time.
        neighbours = min(15, len(embedding) - 1)
        reducer = umap_library().UMAP(neighbours, metric="precomputed", n_jobs=1, random_state=0)
        places = np.asarray(reducer.fit_transform(euclidean_distances(embedding.numpy())))
    torch.set_num_threads(threads)  # numba starts its own through the OpenMP that torch asks for their number
    return places
