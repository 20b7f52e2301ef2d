"""One score sheet for every method: predictions in, metrics out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from evaluation.agreement import agreement
from evaluation.contingency import contingency
from evaluation.dendrogram_purity import tree_purity
from evaluation.internal import calinski_harabasz, davies_bouldin, silhouette, silhouette_estimate
from evaluation.neighbour_purity import neighbour_purity, neighbour_purity_estimate
from evaluation.predictions import EvaluationError, Predictions
from evaluation.sampling import sampled

AGREEMENT = ("acc", "nmi", "ari", "ami", "purity", "homogeneity", "completeness", "balanced_acc")


SAMPLED = {"silhouette": "silhouette", "neighbour_purity": "nearest neighbours"}
"""Scores that come from a sample of many points, and what a table's notes call them."""
CPU = torch.device("cpu")


def evaluate(
    predictions: Predictions, neighbours: bool = True, device: torch.device = CPU
) -> dict[str, float | int | str | None]:
    """Every metric that applies to `predictions`, in the tables' order; None where one does not.

    `n, k, k_used, acc, nmi, ari, ami, purity, homogeneity, completeness, balanced_acc, silhouette, silhouette_space,
    davies_bouldin, calinski_harabasz, neighbour_purity, size_min, size_max, class_min, class_max`.
    Those that compare with classes are None without labels. Where the encoder was trained for its clusters,
    `silhouette_pretrained, davies_bouldin_pretrained, calinski_harabasz_pretrained` say what the clusters are worth in
    the space before that. A method with a tree of its own has `dendrogram_purity`, None without
    labels.
    The method's own criteria follow (inertia, log_likelihood, bic).
    `size_min` and `size_max` are over all k clusters, so 0 when one is empty. Noise is no cluster there; for the other
    scores it is one more, since an image that is left out is no success. `class_min` and `class_max` are the sizes of
    the smallest and of the largest class that occurs.

    All are exact up to 100,000 points. Beyond, silhouette and neighbour_purity are means over 20,000 of the points,
    drawn with a fixed seed, each compared with all points. Then `silhouette_points` and `neighbour_purity_points` are
    the size of that sample, and `silhouette_error` and `neighbour_purity_error` the standard errors.

    Args:
        predictions: of any method.
        neighbours: without them, neighbour_purity is None: in many dimensions it takes longer than all others.
        device: where distances between all points are computed. MPS, which has no float64, leaves them to the CPU.

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
    where = CPU if device.type == "mps" else device  # which has no float64
    agreements: dict[str, float] = {}
    class_sizes: list[int] = []
    if classes is not None:
        table = contingency(classes, clusters)
        agreements, class_sizes = agreement(table), [size for size in table.sum(axis=1).tolist() if size]
    return {
        "n": len(clusters),
        "k": len(sizes),
        "k_used": int((sizes > 0).sum()),
        **{key: agreements.get(key) for key in AGREEMENT},
        "silhouette": None,
        "silhouette_space": predictions.space,
        "davies_bouldin": davies_bouldin(embedding, clusters),
        "calinski_harabasz": calinski_harabasz(embedding, clusters),
        "neighbour_purity": None,
        "size_min": int(sizes.min()) if len(sizes) else 0,
        "size_max": int(sizes.max()) if len(sizes) else 0,
        "class_min": min(class_sizes, default=None),
        "class_max": max(class_sizes, default=None),
        **_among_all_points(embedding.to(where), clusters, classes if neighbours else None),
        **_before_joint_training(predictions, where),
        **({} if predictions.tree is None else {"dendrogram_purity": tree_purity(predictions)}),
        **predictions.criteria,
    }


def sampling_notes(scores: Mapping[str, float | int | str | None]) -> tuple[str, ...]:
    """What a table must say of scores that come from a sample of the points; nothing where all were scored."""
    notes = []
    for key, name in SAMPLED.items():
        points, error = scores.get(f"{key}_points"), scores.get(f"{key}_error")
        if points is not None:
            notes.append(f"{name} from {points:,} of {scores['n']:,} points, standard error {error:.4f}")
    return tuple(notes)


def _among_all_points(
    embedding: Float[Tensor, "n d"], clusters: Int64[Tensor, " n"], classes: Int64[Tensor, " n"] | None
) -> dict[str, float | int | None]:
    """The scores that compare all points with each other, where the embedding lies; neighbours where classes are."""
    scores: dict[str, float | int | None] = {}
    sample = sampled(len(embedding))
    if sample is None:
        scores["silhouette"] = silhouette(embedding, clusters)
        if classes is not None:
            scores["neighbour_purity"] = neighbour_purity(embedding, classes)
        return scores
    estimates = {"silhouette": silhouette_estimate(embedding, clusters, sample)}
    if classes is not None:
        estimates["neighbour_purity"] = neighbour_purity_estimate(embedding, classes, sample)
    for key, found in estimates.items():
        if found is not None:
            scores |= {key: found.value, f"{key}_points": len(sample), f"{key}_error": found.error}
    return scores


def _before_joint_training(predictions: Predictions, where: torch.device) -> dict[str, float | int | None]:
    """The internal metrics where no cluster has shaped the space, under names of their own; empty without one."""
    if predictions.pretrained is None:
        return {}
    points, clusters = predictions.pretrained.float(), predictions.assignments.labels
    return {
        "silhouette_pretrained": _among_all_points(points.to(where), clusters, None).get("silhouette"),
        "davies_bouldin_pretrained": davies_bouldin(points, clusters),
        "calinski_harabasz_pretrained": calinski_harabasz(points, clusters),
    }


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
