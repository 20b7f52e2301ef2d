"""UMAP's layout on a GPU by cuML, where that optional package is installed: `pip install -e .[cuda]`.

Source: Nolet et al., "Bringing UMAP Closer to the Speed of Light with GPU Acceleration", AAAI 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from estimators.settings import UMAPSettings


def cuml_for(device: torch.device) -> Any | None:
    """cuML's module of layouts; None where the device is no CUDA device, or cuML cannot be imported."""
    if device.type != "cuda":
        return None
    try:
        from cuml import manifold
    except ImportError:
        return None
    return manifold


def lay_out_by_cuml(
    library: Any, points: Float[Tensor, "n d"], settings: UMAPSettings, seed: int
) -> Float32[Tensor, "n e"]:
    """Places of all points, on the CPU. With fewer points than neighbours asked for, all other points are neighbours.

    Args:
        library: what `cuml_for` gave.
        points: at least 4, finite values.
        settings: reproducible: seeded. Otherwise cuML draws as it likes, which is faster.
        seed: of cuML's generator.
    """
    model = library.UMAP(
        n_neighbors=min(settings.neighbours, len(points) - 1),
        n_components=settings.components,
        min_dist=settings.min_dist,
        n_epochs=settings.epochs,
        random_state=seed % 2**31 if settings.reproducible else None,
        output_type="numpy",
    )
    return torch.from_numpy(np.asarray(model.fit_transform(points.float().contiguous()), dtype=np.float32))
