"""Settings shared by methods. Unknown keys are refused, so a typo never becomes a silent default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["32-true", "bf16-mixed"]


class Settings(BaseModel):
    """Base of all settings: frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSettings(Settings):
    """Which images. `name` is a source's name or a path; `split` is what the method is fitted on."""

    name: str = "fashion-mnist"
    split: Literal["train", "test", "all"] = "train"


class RuntimeSettings(Settings):
    """The machine. Part of the config because results depend on it."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Precision = "32-true"
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 20.0
    """A checkpoint is written at the end of an epoch when the last one is older than this."""


class OptimiserSettings(Settings):
    """Optimiser and the course of its learning rate over a phase."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    momentum: Share = 0.9
    """SGD alone; Adam's first moment keeps its usual 0.9."""
    epsilon: PositiveFloat = 1e-8
    """Adam alone."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"


class AugmentationSettings(Settings):
    """Random changes of an image that keep what it shows. All are off at 0."""

    shift: Share = 0.0
    """Largest shift, as a share of the side, in each direction."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation in degrees, in both directions."""
    crop: Share = 0.0
    """Resized crop: the smallest area of the crop is 1 - crop."""
    flip: Share = 0.0
    """Probability of a left-right flip."""
    brightness: Share = 0.0
    """Largest relative change of brightness."""
    contrast: Share = 0.0
    """Largest relative change of contrast."""


class PretrainSettings(Settings):
    """Training of an autoencoder on the reconstruction alone."""

    epochs: PositiveInt = 20
    min_steps: Annotated[int, Field(ge=0)] = 2000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 256
    noise: Share = 0.0
    """Share of the inputs set to zero (denoising autoencoder); the target stays clean."""
    augmentation: AugmentationSettings = AugmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=2e-3, schedule="one-cycle")


class KMeansSettings(Settings):
    """KMeans on all points, k-means++ initialisation, the best of `redos` runs by inertia."""

    redos: PositiveInt = 20
    iterations: PositiveInt = 100


class RunConfig(Settings):
    """What every run has, whatever the method. Methods add their own sections."""

    method: str
    data: DataSettings = DataSettings()
    clusters: Annotated[int, Field(ge=2)] = 10
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    runtime: RuntimeSettings = RuntimeSettings()
