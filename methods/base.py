"""The contract between methods and everything else: phases in, assignments out.

A method is a short sequence of phases (`parts.phases`), which trains it, and an answer for any images. What only some
methods have (a decoder, centroids, an embedding that the answer follows from) are protocols of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, Num, UInt8
from torch import Tensor, nn

from data.known import Known
from parts.phases import Compute, Phase


@dataclass(frozen=True)
class Assignments:
    """A clustering of n images.

    Attributes:
        labels: (n,), int64, the cluster of every image, 0 to k - 1.
        probabilities: (n, k), rows sum to 1, or None where the method has none.
    """

    labels: Int64[Tensor, " n"]
    probabilities: Float[Tensor, "n k"] | None = None


@runtime_checkable
class Method(Protocol):
    """A way to cluster images. n samples, d latent dimensions, k clusters."""

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """The phases in the order in which they run."""
        ...

    def embed(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The space in which the method clusters, on the CPU.

        However images are batched, the answer is the same but for the rounding of sums, which depends on a batch's size
        in the last bits. What an extension to new images finds by its neighbours follows it just as smoothly, and
        images of the fit keep their own places to the bit.
        """
        ...

    def assign(self, images: Num[Tensor, "n c h w"]) -> Assignments:
        """The method's own answer for what `embed` gives, on the CPU. Rounding decides between clusters that tie."""
        ...

    @property
    def clusters(self) -> int:
        """Assignments run from 0 to this number less one. Methods that find their number know it after the fit."""
        ...

    @property
    def dimensions(self) -> int:
        """d, of what `embed` gives after the fit; 0 before it where only the fit says so."""
        ...

    @property
    def space(self) -> str:
        """The name of the space that `embed` returns, for tables: "latent (10-d)"."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a table must say of the method: subsets, extensions to new images. Short, no full stop."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move what computes to `device`."""
        ...

    def eval(self) -> Any:
        """Switch to evaluation: no dropout, and running statistics instead of the batch's."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> Any: ...


@runtime_checkable
class SemiSupervised(Protocol):
    """A method that can also learn from what is known of some images."""

    def semi_supervised_phases(self, images: Num[Tensor, "n c h w"], compute: Compute, known: Known) -> Sequence[Phase]:
        """The phases in the order in which they run, with `known` of the training images."""
        ...


@runtime_checkable
class Generative(Protocol):
    """A method that can show what it thinks: reconstructions and decoded centroids."""

    def reconstruct(self, images: Num[Tensor, "n c h w"]) -> Num[Tensor, "n c h w"] | None:
        """Every image as the decoder gives it back, on the CPU; None where this configuration has no decoder."""
        ...

    def decoded_centroids(self) -> UInt8[Tensor, "k c h w"] | None:
        """What the decoder makes of every centroid, on the CPU; None where this configuration has no decoder."""
        ...


@runtime_checkable
class CentroidMethod(Protocol):
    """A method whose clusters have centroids in the space that `embed` returns."""

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The centroids, on the CPU."""
        ...


@runtime_checkable
class TreeMethod(Protocol):
    """A method that finds a binary tree of its clusters beside them."""

    def tree(self) -> Int64[Tensor, "merges 2"]:
        """k - 1 rows, each the two nodes that are below one, on the CPU.

        The clusters are the nodes 0 to k - 1, and the node of row r is number k + r. A row comes after its own nodes'.
        """
        ...


@runtime_checkable
class NoiseMethod(Protocol):
    """A method that may leave images out of all clusters."""

    @property
    def noise_cluster(self) -> int | None:
        """The label of images that lie in no cluster; None where every image lies in one."""
        ...


@runtime_checkable
class EmbeddingMethod(Protocol):
    """A method whose answer follows from `embed` alone, so that scoring need not embed the images twice."""

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """`assign` of the images that `embed` took to z."""
        ...

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """The method's own unsupervised criterion by name: inertia, log_likelihood (mean of an image), bic."""
        ...


@runtime_checkable
class SoftMethod(Protocol):
    """A method whose answer is one network's, from images to probabilities."""

    def soft_assign(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """The probabilities of the clusters, on the device of the images."""
        ...

    @property
    def beyond_its_network(self) -> str | None:
        """What its answer takes beside its own network, and what to do about it, for people; None for nothing."""
        ...


@runtime_checkable
class AttentiveMethod(Protocol):
    """A method whose encoder may be a transformer, which says where it looks."""

    def attention(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n rows columns"] | None:
        """The share of every patch in an image's point, on the CPU; each map sums to 1. None without attention."""
        ...


@runtime_checkable
class PretrainedMethod(Protocol):
    """A method that trains its encoder for the clusters, after a pretraining that knows none.

    In the space that it ends with, clusters are compact because it was trained to make them so. What they are worth is
    told by the space before.
    """

    def encoder_state(self) -> dict[str, Tensor]:
        """A copy of the encoder's weights, on the CPU."""
        ...

    def embed_pretrained(self, encoder: Mapping[str, Tensor], images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The latents by an encoder of these weights, on the CPU."""
        ...


@runtime_checkable
class OnOutsideData(Protocol):
    """A method that may stand on a network which others trained on other data."""

    @property
    def pretrained_on(self) -> str | None:
        """That data, in words; None where the method has seen the training images alone."""
        ...


@runtime_checkable
class KeepsFeatures(Protocol):
    """A method that may stand on frozen networks, whose features no checkpoint holds."""

    @property
    def kept_features(self) -> Sequence[nn.Module]:
        """The features of every network, in the order of the phases that compute them, which come first."""
        ...


@runtime_checkable
class NamedImages(Protocol):
    """A method that may look up what others computed of the images, by what the images are called."""

    def take_names(self, names: Sequence[str]) -> None:
        """Be told the names of the training images, in their order, before `phases`. A name is never trained on."""
        ...


@runtime_checkable
class NetworkMethod(Protocol):
    """A method with networks that can be drawn layer by layer."""

    def networks(self) -> Mapping[str, nn.Module]:
        """ "encoder", from (n, c, h, w) normalised pixels to z, and "decoder", back."""
        ...
