"""Settings shared by methods. Unknown keys are refused, so a typo never becomes a silent default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from configs.values import Misread, read

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Restarts = Annotated[int, Field(gt=0, le=100_000)]
"""Multiplied by small factors on the way to libraries in C, whose whole numbers end at 2³¹ − 1."""
Processes = Annotated[int, Field(gt=0, le=4096)]
"""Each is started at once: a slip of the finger must not start a million."""
Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["32-true", "bf16-mixed", "auto"]


class Settings(BaseModel):
    """Base of all settings: frozen, and strict about names. Values are read by their declared type alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    taken_over: ClassVar[tuple[str, ...]] = ()
    """Fields whose values a section of this kind has from the one of another kind whose place it takes."""

    @model_validator(mode="before")
    @classmethod
    def _by_declared_type(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        fields = cls.model_fields
        return {key: _read(value, fields[key].annotation) if key in fields else value for key, value in raw.items()}


def _read(value: Any, declared: Any) -> Any:
    try:
        return read(value, declared)
    except ValueError as error:
        return Misread(value, str(error))


class DataSettings(Settings):
    """Which images. `name` is a source's name or a path; `split` is what the method is fitted on."""

    name: str = "fashion-mnist"
    split: Literal["train", "test", "all"] = "train"
    duplicates: Literal["keep", "drop"] = "keep"
    """drop: of images that are equal in every pixel the first stays."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the split that is held out of the fit, drawn at random by the run's seed: split "validation"."""
    subset: PositiveInt | None = None
    """Fit on so many images of what is left, drawn by the run's seed."""
    draw: Literal["random", "stratified"] = "random"
    """How the subset is drawn. stratified: in the classes' proportions, which only reproduces others' protocols; it
    uses labels, and tables say so."""
    class_sizes: tuple[PositiveInt, ...] | None = None
    """So many images of the first classes, and none of the others: a set of unequal classes, for research. It uses
    labels, and tables say so."""
    long_tail: Annotated[float, Field(ge=1)] | None = None
    """Every class is thinned, by equal factors from one to the next: the first is whole, and of the last one image in
    so many stays. It uses labels, and tables say so."""
    sizes_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Which images these two settings keep. The run's seed does not change them, so that seeds compare one set."""
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Of all images that are pictures of their own: a side in pixels, or [height, width]. null: by what the set holds.
    Named data sets are what they are."""
    fit: Literal["cover", "contain", "stretch"] = "cover"
    """How a picture of another shape gets this size: cropped around the centre, on the background, or distorted."""
    background: str = "white"
    """What shows through transparent parts and around contained pictures: white, black, grey or #rrggbb."""
    unreadable: Literal["leave-out", "stop"] = "leave-out"
    """Whether pictures that cannot be read are left out and listed, or stop the run."""
    labels: Literal["auto", "none"] = "auto"
    """none: sub-folders are no classes; all pictures in them are taken."""
    kind: Literal["auto", "points"] = "auto"
    """points: rows of numbers in a file are points of a space, also where they could be the pixels of images."""

    @model_validator(mode="after")
    def _one_way_to_unequal_sizes(self) -> DataSettings:
        if self.class_sizes is not None and self.long_tail is not None:
            raise ValueError(
                "data.class_sizes and data.long_tail both say how large classes are; leave one of them out"
            )
        return self


class RuntimeSettings(Settings):
    """The machine. Part of the config because results depend on it."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Precision = "32-true"
    """auto: a few steps are timed before the run, and the fastest takes its place in the run's config."""
    tf32: bool = False
    """On an NVIDIA GPU, multiply float32 numbers with 10 bits of their mantissa in place of 23, which is faster. torch
    does so in convolutions unless it is told not to; here 32-true means what it says."""
    capture: bool = True
    """On an NVIDIA GPU, capture a training step once and replay it, where the method allows: the same step, with one
    launch in place of hundreds."""
    devices: Processes = 1
    nodes: Processes = 1
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
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "constant"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Schedule step alone: the rate is multiplied by this …"""
    decay_epochs: PositiveInt = 10
    """… after every so many epochs."""


class AugmentationSettings(Settings):
    """Random changes of an image that keep what it shows. All are off at 0."""

    shift: Share = 0.0
    """Largest shift, as a share of the side, in each direction."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation in degrees, in both directions."""
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    """Largest slant of vertical lines in degrees, in both directions."""
    crop: Share = 0.0
    """Resized crop: the smallest area of the crop is 1 - crop."""
    flip: Share = 0.0
    """Probability of a left-right flip."""
    brightness: Share = 0.0
    """Largest relative change of brightness."""
    contrast: Share = 0.0
    """Largest relative change of contrast."""
    sharpness: Share = 0.0
    """Largest relative loss of sharpness; 1 is the image smoothed over 3×3 pixels."""
    solarize: Share = 0.0
    """Probability that all pixels from a random threshold on are inverted."""
    posterize: Share = 0.0
    """Probability that pixels keep only their 4 to 7 highest bits, a random number of them."""
    autocontrast: Share = 0.0
    """Probability that every channel is stretched to the whole range from black to white."""
    equalize: Share = 0.0
    """Probability that the histogram of every channel is made flat."""
    cutout: Share = 0.0
    """Largest side of a square that is hidden, as a share of the shorter side."""


class GreedySettings(Settings):
    """Denoising autoencoders of one layer each, stacked (Vincent et al., JMLR 2010), before the whole is trained."""

    epochs: PositiveInt = 10
    """Of every layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Of a layer's input and of its output."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-3)


class PretrainSettings(Settings):
    """Training of an autoencoder on the reconstruction alone."""

    objective: Literal["reconstruction"] = "reconstruction"
    epochs: PositiveInt = 10
    min_steps: Annotated[int, Field(ge=0)] = 2000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 256
    noise: Share = 0.0
    """Share of the inputs set to zero (denoising autoencoder); the target stays clean."""
    augmentation: AugmentationSettings = AugmentationSettings()
    greedy: GreedySettings | None = None
    """Layer by layer first; dense networks alone."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=2e-3, schedule="one-cycle")


class KMeansSettings(Settings):
    """KMeans, k-means++ initialisation, the best of `redos` runs by inertia."""

    redos: Restarts = 20
    iterations: PositiveInt = 100


class ReportSettings(Settings):
    """The row of a published report that a run reproduces. Nothing in training looks at it."""

    row: str
    """The report and the system, as tables show it: "A: KMeans, PCA 90 %"."""
    figures: dict[Literal["train", "validation", "test"], dict[str, float]]
    """By the split that the report scored: its figures under this project's names, such as nmi, silhouette, inertia."""
    classify: bool = False
    """The report trains classifiers on the clusters as well."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that it scored."""
        return tuple(self.figures)


class RunConfig(Settings):
    """What every run has, whatever the method. Methods add their own sections."""

    method: str
    name: str = ""
    """Of the run in tables and folders; the method's name when empty."""
    report: ReportSettings | None = None
    data: DataSettings = DataSettings()
    clusters: Annotated[int, Field(ge=2)] = 10
    known: str | float | None = None
    """Known labels of some training images, or pairs of them: a CSV file; or a share of the images whose labels are
    drawn by the run's seed, for research. Scores are then those of the other images."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    runtime: RuntimeSettings = RuntimeSettings()

    @field_validator("known")
    @classmethod
    def _known_is_a_share_or_a_file(cls, known: str | float | None) -> str | float | None:
        if isinstance(known, float) and not 0 <= known < 1:
            raise ValueError("It takes a share of the images, from 0 to below 1, or a file of labels")
        return known

    @property
    def title(self) -> str:
        """How tables and folders call it."""
        return self.name or self.method

    @property
    def finds_clusters(self) -> bool:
        """Whether the method finds the number of clusters itself; `clusters` then stays at its default."""
        return False

    @property
    def completed(self) -> Self:
        """With what a setting leaves to be found in other files."""
        return self

    @property
    def for_points(self) -> dict[str, Any]:
        """Settings by their dotted path that take the place of what only pictures can have, where data are points."""
        return {}

    @property
    def different_images_needed(self) -> int:
        """The fewest different images that can be fitted: one for each cluster, where the number is given."""
        return self.clusters
