"""All that the evaluator knows of a run: what it predicts for one set of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from data.image_set import ImageSet
from methods.base import (
    Assignments,
    AttentiveMethod,
    CentroidMethod,
    EmbeddingMethod,
    Generative,
    Method,
    NoiseMethod,
    PretrainedMethod,
    TreeMethod,
)


@dataclass(frozen=True)
class Predictions:
    """A method's answer for one image set. It never says which method gave it.

    Attributes:
        images: the images, with labels where the data set has them.
        embedding: (n, d), float32, the space in which the method clustered.
        assignments: labels (n,) and, where the method has them, probabilities (n, k).
        clusters: k, the number of clusters that the method was asked for.
        space: the embedding's name for tables: "latent (10-d)", "pixels".
        centroids: (k, d) in the embedding's space, or None.
        reconstructions: (n, c, h, w), uint8, or None where the method does not reconstruct.
        decoded_centroids: (k, c, h, w), uint8, or None.
        criteria: the method's own unsupervised criterion on these images, by name.
        noise: the label of the images that lie in no cluster; None where every image lies in one.
        pretrained: (n, d), the embedding before the encoder was trained for clusters; None where it never was.
        attention: (n, rows, columns), the share of every patch of an image in its point, or None. Each map sums to 1.
        tree: the method's own tree of its k clusters, as `TreeMethod` has it; None where it finds none.
    """

    images: ImageSet
    embedding: Float[Tensor, "n d"]
    assignments: Assignments
    clusters: int
    space: str
    centroids: Float[Tensor, "k d"] | None = None
    reconstructions: UInt8[Tensor, "n c h w"] | None = None
    decoded_centroids: UInt8[Tensor, "k c h w"] | None = None
    criteria: Mapping[str, float] = field(default_factory=dict)
    noise: int | None = None
    pretrained: Float[Tensor, "n d"] | None = None
    attention: Float[Tensor, "n rows columns"] | None = None
    tree: Int64[Tensor, "merges 2"] | None = None


def predict(
    method: Method, images: ImageSet, decoded: bool = True, encoder: Mapping[str, Tensor] | None = None
) -> Predictions:
    """What `method` says about `images`.

    Args:
        method: fitted.
        images: of the shape that it was fitted to.
        decoded: for figures: with what a decoder makes of images and centroids, and where a transformer looks.
        encoder: weights of the method's encoder before it was trained for clusters, as checkpoints keep them.
    """
    pixels = images.images
    pretrained = None
    if encoder is not None and isinstance(method, PretrainedMethod):
        pretrained = method.embed_pretrained(encoder, pixels)
    z = method.embed(pixels)
    return Predictions(
        images=images,
        embedding=z,
        assignments=method.assign_embedded(z) if isinstance(method, EmbeddingMethod) else method.assign(pixels),
        clusters=method.clusters,
        space=method.space,
        centroids=method.centroid_positions() if isinstance(method, CentroidMethod) else None,
        reconstructions=method.reconstruct(pixels) if decoded and isinstance(method, Generative) else None,
        decoded_centroids=method.decoded_centroids() if decoded and isinstance(method, Generative) else None,
        criteria=method.criteria(z) if isinstance(method, EmbeddingMethod) else {},
        noise=method.noise_cluster if isinstance(method, NoiseMethod) else None,
        pretrained=pretrained,
        attention=method.attention(pixels) if decoded and isinstance(method, AttentiveMethod) else None,
        tree=method.tree() if isinstance(method, TreeMethod) else None,
    )


class EvaluationError(Exception):
    """Predictions that cannot be scored, or a table that cannot be written. The message is for a person."""


def members(labels: Int64[Tensor, " n"], cluster: int) -> Int64[Tensor, " m"]:
    """The positions of a cluster's images, ascending."""
    return (labels == cluster).nonzero().flatten()


def sizes(labels: Int64[Tensor, " n"], clusters: int) -> Int64[Tensor, " k"]:
    """The number of images of every cluster; 0 for an empty one."""
    return torch.bincount(labels, minlength=clusters)
