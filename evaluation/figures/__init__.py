"""Figures of one set of predictions, each a PNG file of its own."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

from evaluation.figures.cluster_sizes import cluster_sizes
from evaluation.figures.confusion import confusion
from evaluation.figures.dendrogram import dendrogram
from evaluation.figures.generated import decoded_centroids, reconstructions
from evaluation.figures.latent_map import latent_map
from evaluation.figures.samples import samples
from evaluation.figures.style import STYLE
from evaluation.figures.tsne_map import tsne_map
from evaluation.predictions import Predictions

FIGURES: Mapping[str, Callable[[Predictions], Figure | None]] = MappingProxyType(
    {
        "confusion": confusion,
        "samples": samples,
        "reconstructions": reconstructions,
        "decoded_centroids": decoded_centroids,
        "latent_map": latent_map,
        "tsne_map": tsne_map,
        "dendrogram": dendrogram,
        "cluster_sizes": cluster_sizes,
    }
)
"""File name without its ending -> what draws it; None where the figure does not apply to the predictions."""


class Drawn(NamedTuple):
    """What `draw` did.

    Attributes:
        paths: the files written, in the order of `FIGURES`.
        problem: for a person: which figures failed and why; None where none did.
    """

    paths: list[Path]
    problem: str | None


def draw(predictions: Predictions, folder: Path) -> Drawn:
    """Draw every figure that applies to `predictions` as `folder`/<name>.png; older files are replaced.

    A figure that fails does not cost the others.

    Raises:
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths, failures = [], []
    for name, function in FIGURES.items():
        try:
            content = _png(function, predictions)
            if content is not None:
                path = folder / f"{name}.png"
                path.write_bytes(content)
                paths.append(path)
        except Exception as error:  # whatever it is, the other figures are still wanted
            failures.append(f"  {name}: {type(error).__name__}: {error}")
    problem = f"{len(failures)} of {len(FIGURES)} figures could not be drawn:\n" + "\n".join(failures)
    return Drawn(paths, problem if failures else None)


def _png(function: Callable[[Predictions], Figure | None], predictions: Predictions) -> bytes | None:
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A class name in a script that the font lacks is drawn as boxes; no reason to warn or to stop.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = function(predictions)
        if figure is None:
            return None
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()
