"""From a method and images to all that the evaluator needs."""

from __future__ import annotations

from data.image_set import ImageSet
from evaluation.predictions import Predictions
from methods.base import CentroidMethod, EmbeddingMethod, Generative, Method


def predict(method: Method, images: ImageSet) -> Predictions:
    """What `method` says about `images`.

    Args:
        method: fitted.
        images: of the shape that it was fitted to.
    """
    pixels = images.images
    z = method.embed(pixels)
    return Predictions(
        images=images,
        embedding=z,
        assignments=method.assign_embedded(z) if isinstance(method, EmbeddingMethod) else method.assign(pixels),
        clusters=method.clusters,
        space=method.space,
        centroids=method.centroid_positions() if isinstance(method, CentroidMethod) else None,
        reconstructions=method.reconstruct(pixels) if isinstance(method, Generative) else None,
        decoded_centroids=method.decoded_centroids() if isinstance(method, Generative) else None,
        criteria=method.criteria(z) if isinstance(method, EmbeddingMethod) else {},
    )
