"""What is fitted to the points of the training images: reducers, and the clusterers of two-stage methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Num
from torch import Tensor

from estimators.base import FittedArrays, Reducer
from parts.image_encoders import ImageEncoder
from parts.phases import Compute
from parts.seen_images import SeenImages


def fit_to_points(
    part: FittedArrays,
    fit: Callable[[Tensor], None],
    encoder: ImageEncoder,
    before: Sequence[Reducer],
    images: Num[Tensor, "n c h w"],
    compute: Compute,
    seen: SeenImages | None = None,
) -> Callable[[], None]:
    """What a phase calls to fit a part to the points of the training images, by one process on its device, for all.

    Args:
        part: holds what the fit leaves behind.
        fit: the part's own, of points alone.
        encoder: images to points.
        before: reducers that the points go through first, in their order.
        images: the training images.
        compute: the machine.
        seen: remembers the places of the images, where a reducer gave them places of their own.
    """

    def run() -> None:
        points = compute.place(encoder.points(images, compute))
        for reducer in before:
            points = reducer.transform(points)

        def arrays() -> dict[str, Tensor]:
            fit(points)
            return part.arrays

        part.arrays = compute.once(arrays)
        if seen is not None and any(reducer.places_its_points for reducer in before):
            seen.remember(images, points.cpu())

    return run
