"""From a method and images to all that the evaluator needs."""

from __future__ import annotations

from data.image_set import ImageSet
from evaluation.predictions import Predictions
from methods.base import CentroidMethod, Generative, Method


def predict(method: Method, images: ImageSet, clusters: int) -> Predictions:
    """What `method` says about `images`.

    Args:
        method: fitted.
        images: of the shape that it was fitted to.
        clusters: k.
    """
    pixels = images.images
    return Predictions(
        images=images,
        embedding=method.embed(pixels),
        assignments=method.assign(pixels),
        clusters=clusters,
        space=method.space,
        centroids=method.centroid_positions() if isinstance(method, CentroidMethod) else None,
        reconstructions=method.reconstruct(pixels) if isinstance(method, Generative) else None,
        decoded_centroids=method.decoded_centroids() if isinstance(method, Generative) else None,
    )
