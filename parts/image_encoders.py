"""From uint8 images to points and, where it can, back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Num, UInt8
from torch import Tensor, nn

from models.autoencoder import ImageShape
from models.batched import map_batches
from models.normalise import Normalise
from models.oriented_gradients import HOGSettings, OrientedGradients
from parts.phases import Compute, Phase
from parts.seen_images import SeenImages


class ImageEncoder(nn.Module, ABC):
    """Images to points and, where it can, back."""

    normalise: Normalise
    name: str
    """In the names of methods and spaces: "raw", "hog", "ae", "vae", "simclr", "frozen"."""
    has_decoder = True
    """Whether there is a way back to images. There is none where the data are no images."""

    def take_names(self, names: Sequence[str]) -> None:
        """Be told the names of the training images, before `phases`."""

    @abstractmethod
    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """What must be trained first."""

    def points(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Float[Tensor, "n d"]:
        """The points of the training images, on the CPU."""
        return compute.map(self.encode, images)

    def embed(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The points of any images, on the CPU."""
        return map_batches(self.encode, images, self.device)

    @abstractmethod
    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The points, on the images' device."""

    def decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"]:
        """The images that the points stand for, where there is a decoder."""
        raise NotImplementedError(f"there is no way back from {self.name} to images: look at has_decoder first")

    @property
    def has_attention(self) -> bool:
        """Whether `attention` can say where the network looks."""
        return False

    def attention(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n rows columns"]:
        """The share of every patch of an image in its point, on the images' device; each map sums to 1."""
        raise NotImplementedError(f"{self.name} attends to nothing: look at has_attention first")

    def networks(self) -> Mapping[str, nn.Module]:
        """What can be drawn layer by layer."""
        return {}

    @property
    def kept_features(self) -> tuple[SeenImages, ...]:
        """The features of a frozen network, or of several, by image: the outcome of its phase, not of its state."""
        return ()

    @property
    def pretrained_on(self) -> str | None:
        """The data of others that it was trained on, in words; None where it has seen the training images alone."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a table must say of it. Short, no full stop."""
        return ()

    @property
    def device(self) -> torch.device:
        return self.normalise.mean.device


class RawPixels(ImageEncoder):
    """Pixels from 0 to 1, flattened; or points as they are."""

    name = "raw"

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.shape = shape
        self.has_decoder = not shape.is_point
        self.normalise = Normalise(shape.channels)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        return ()

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        pixels: Tensor = self.normalise(images)
        return rearrange(pixels, "n c h w -> n (c h w)")

    def decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"]:
        c, h, w = self.shape
        return self.normalise.invert(rearrange(points, "n (c h w) -> n c h w", c=c, h=h, w=w))


class Gradients(ImageEncoder):
    """Histograms of oriented gradients, which nothing trains."""

    name = "hog"
    has_decoder = False

    def __init__(self, settings: HOGSettings, shape: ImageShape) -> None:
        super().__init__()
        self.normalise = Normalise(shape.channels)
        self.describe = OrientedGradients(shape, settings)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        return ()

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        descriptors: Tensor = self.describe(self.normalise.unit(images))
        return descriptors
