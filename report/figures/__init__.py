"""Figures of one set of predictions, each a PNG file of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from matplotlib.figure import Figure

from evaluation.classify import ClassifierScore
from evaluation.predictions import Predictions
from report.figures.attention import attention
from report.figures.cluster_sizes import cluster_sizes
from report.figures.confusion import confusion
from report.figures.confusion_classifiers import confusion_classifiers
from report.figures.dendrogram import dendrogram
from report.figures.files import Drawn, draw_files, remove_older
from report.figures.generated import decoded_centroids, reconstructions
from report.figures.latent_map import latent_map
from report.figures.learning_curves import learning_curves
from report.figures.samples import samples
from report.figures.tsne_map import tsne_map
from system.streams import say

FIGURES: Mapping[str, Callable[[Predictions], Figure | None]] = MappingProxyType(
    {
        "confusion": confusion,
        "samples": samples,
        "attention": attention,
        "reconstructions": reconstructions,
        "decoded_centroids": decoded_centroids,
        "latent_map": latent_map,
        "tsne_map": tsne_map,
        "dendrogram": dendrogram,
        "cluster_sizes": cluster_sizes,
    }
)
"""File name without its ending -> what draws it; None where the figure does not apply to the predictions."""

OF_PICTURES = ("samples", "reconstructions", "decoded_centroids", "dendrogram")
"""What shows images, and is left out where the data are points."""

CLASSIFIERS = "confusion_classifiers"


def draw(predictions: Predictions, folder: Path, history: Sequence[Mapping[str, Any]] = ()) -> Drawn:
    """Draw every figure that applies to `predictions` as `folder`/<name>.png; older figures go, those of forests too.

    Args:
        predictions: of one set of images.
        folder: made if need be.
        history: the training's, an epoch a row, for the learning curves.

    Raises:
        EvaluationError: the folder cannot be made.
    """
    figures: dict[str, Callable[[], Figure | None]] = {
        name: partial(function, predictions) for name, function in FIGURES.items()
    }
    if predictions.images.are_points:
        figures = {name: function for name, function in figures.items() if name not in OF_PICTURES}
        say("points cannot be looked at: figures that show pictures are left out.")
    figures["learning_curves"] = partial(learning_curves, history)
    images = predictions.images
    drawn = draw_files(figures, folder, (images.name, predictions.space, *images.class_names))
    remove_older(folder, [CLASSIFIERS, *(OF_PICTURES if images.are_points else ())])
    return drawn


def draw_classifiers(scores: Mapping[str, ClassifierScore], class_names: Sequence[str], folder: Path) -> Drawn:
    """Draw the confusion matrices of forests on clusters beside the figures that `draw` drew of the same images.

    Raises:
        EvaluationError: the folder cannot be made.
    """
    return draw_files({CLASSIFIERS: partial(confusion_classifiers, scores, class_names)}, folder, class_names)
