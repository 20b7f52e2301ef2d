"""Which network of others gives the features, and where its weights are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.schema import PositiveFloat, PositiveInt, Settings


class FrozenSettings(Settings):
    """The features of a network that others trained. Nothing trains it here."""

    model: str = "timm:vit_small_patch14_dinov2.lvd142m"
    """timm:NAME, torchvision:NAME, open_clip:NAME/TAG, or the path of a TorchScript (.pt, .ts) or ONNX (.onnx) file."""
    weights: str | None = None
    """A file of weights for a named network (.safetensors, .pt, .pth, .bin). None: from the network's hub."""
    size: PositiveInt | None = None
    """Height and width of the network's input. None: its own; 224 for a file, which does not say."""
    mean: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """Of the three channels, on pixels from 0 to 1. None: the network's own; ImageNet's for a file."""
    sd: tuple[PositiveFloat, ...] | None = None
    """As `mean`."""
    pretrained_on: str | None = None
    """For tables: the data it was trained on, and whether with labels. None: what its name says."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """auto: bf16 where a GPU computes in it, else float32."""

    @model_validator(mode="after")
    def _three_channels(self) -> FrozenSettings:
        for name in ("mean", "sd"):
            values = getattr(self, name)
            if values is not None and len(values) != 3:
                raise ValueError(f"{name} must hold 3 numbers, one a channel; received {len(values)}")
        return self


class SpacesSettings(FrozenSettings):
    """The features of one network that others trained, or of several side by side, each of length 1."""

    beside: tuple[str | FrozenSettings, ...] = ()
    """More networks: their names, as in `model`, or sections with their settings."""

    @property
    def networks(self) -> tuple[FrozenSettings, ...]:
        """All of them, of one kind wherever the settings stand, so that methods share their features."""
        first = FrozenSettings(**{name: getattr(self, name) for name in FrozenSettings.model_fields})
        return (first, *(FrozenSettings(model=more) if isinstance(more, str) else more for more in self.beside))
