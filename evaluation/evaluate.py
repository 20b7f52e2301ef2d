"""One score sheet for every method: predictions in, metrics out."""

from __future__ import annotations

import torch

from evaluation.agreement import agreement
from evaluation.contingency import contingency
from evaluation.internal import calinski_harabasz, davies_bouldin, silhouette
from evaluation.neighbour_purity import neighbour_purity
from evaluation.predictions import EvaluationError, Predictions

INTERNAL = (silhouette, davies_bouldin, calinski_harabasz)
AGREEMENT = ("acc", "nmi", "ari", "ami", "purity", "homogeneity", "completeness")


def evaluate(predictions: Predictions, neighbours: bool = True) -> dict[str, float | int | str | None]:
    """Every metric that applies to `predictions`, in the tables' order; None where one does not.

    `n, k, k_used, acc, nmi, ari, ami, purity, homogeneity, completeness, silhouette, silhouette_space,
    davies_bouldin, calinski_harabasz, neighbour_purity, size_min, size_max`. Those that compare with classes
    are None without labels. Where the encoder was trained for its clusters, `silhouette_pretrained,
    davies_bouldin_pretrained, calinski_harabasz_pretrained` say what the clusters are worth in the space before that.
    The method's own criteria follow (inertia, log_likelihood, bic).
    `size_min` and `size_max` are over all k clusters, so 0 when one is empty. Noise is no cluster there; for the other
    scores it is one more, since an image that is left out is no success.
    All are exact: nothing is sampled. Without `neighbours`, neighbour_purity is None: in many dimensions it takes
    longer than all others.

    Raises:
        EvaluationError: parts of different lengths, clusters outside 0 to k - 1, or an embedding that is not
            finite.
    """
    _check(predictions)
    classes, clusters, k = predictions.images.labels, predictions.assignments.labels, predictions.clusters
    embedding = predictions.embedding.float()
    sizes = clusters.bincount(minlength=k)
    if predictions.noise is not None:
        sizes = torch.cat([sizes[: predictions.noise], sizes[predictions.noise + 1 :]])
    agreements: dict[str, float] = {}
    if classes is not None:
        agreements = agreement(contingency(classes, clusters))
    return {
        "n": len(clusters),
        "k": len(sizes),
        "k_used": int((sizes > 0).sum()),
        **{key: agreements.get(key) for key in AGREEMENT},
        "silhouette": silhouette(embedding, clusters),
        "silhouette_space": predictions.space,
        "davies_bouldin": davies_bouldin(embedding, clusters),
        "calinski_harabasz": calinski_harabasz(embedding, clusters),
        "neighbour_purity": neighbour_purity(embedding, classes) if neighbours and classes is not None else None,
        "size_min": int(sizes.min()) if len(sizes) else 0,
        "size_max": int(sizes.max()) if len(sizes) else 0,
        **_before_joint_training(predictions),
        **predictions.criteria,
    }


def _before_joint_training(predictions: Predictions) -> dict[str, float | None]:
    """The internal metrics where no cluster has shaped the space, under names of their own; empty without one."""
    if predictions.pretrained is None:
        return {}
    points, clusters = predictions.pretrained.float(), predictions.assignments.labels
    return {f"{metric.__name__}_pretrained": metric(points, clusters) for metric in INTERNAL}


def _check(predictions: Predictions) -> None:
    n, k = len(predictions.images), predictions.clusters
    clusters, embedding = predictions.assignments.labels, predictions.embedding
    name = f"{predictions.images.name} ({predictions.images.split})"
    if not len(clusters) == len(embedding) == n:
        raise EvaluationError(
            f"{name}: {n} images, {len(clusters)} assignments and {len(embedding)} embedded points; "
            "the predictions must have one of each for every image."
        )
    if int(clusters.min()) < 0 or int(clusters.max()) >= k:
        raise EvaluationError(
            f"{name}: clusters are numbered 0 to {k - 1}, but the assignments run from {int(clusters.min())} "
            f"to {int(clusters.max())}; check the number of clusters in the checkpoint's config."
        )
    broken = int((~embedding.isfinite().all(dim=1)).sum())
    if broken:
        raise EvaluationError(
            f"{name}: {broken} of {n} embedded points are NaN or infinite; the training diverged. "
            "Train again, with a smaller learning rate."
        )
