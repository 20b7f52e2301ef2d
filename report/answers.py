"""A method's answer image by image: which file is in which cluster, and how surely. The table of `predict.py`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from evaluation.predictions import Predictions

NOISE = -1
"""The cluster of images that DBSCAN and HDBSCAN leave out of all clusters."""


@dataclass(frozen=True)
class Answers:
    """What a method says of n images.

    Attributes:
        files: where every image came from.
        cluster: (n,), 0 to k - 1, or `NOISE`.
        probability: (n,), of the image's own cluster; None where the method has no probabilities.
        second: (n,), the next cluster: of the second highest probability or, without probabilities, of the nearest
            other centroid; `NOISE` where there is none. None where the method has neither.
        margin: (n,), how much nearer its own cluster is than the second: the difference of the two probabilities or,
            without them, of the distances to the two centroids. None where there is no second.
        distance: (n,), to the centroid of its own cluster in the space that was clustered; None without centroids.
    """

    files: Sequence[str]
    cluster: Int64[Tensor, " n"]
    probability: Float[Tensor, " n"] | None = None
    second: Int64[Tensor, " n"] | None = None
    margin: Float[Tensor, " n"] | None = None
    distance: Float[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.cluster)


def answers(predictions: Predictions, files: Sequence[str]) -> Answers:
    """The answer for every image of `predictions`, in their order.

    Args:
        predictions: of a method.
        files: where every image came from.
    """
    labels = predictions.assignments.labels
    noise = torch.zeros_like(labels, dtype=torch.bool) if predictions.noise is None else labels == predictions.noise
    cluster = labels.masked_fill(noise, NOISE)
    distances = None
    if predictions.centroids is not None:
        distances = _distances(predictions, predictions.centroids)
    own = labels.unsqueeze(1)
    distance = None if distances is None else _unless(noise, distances.gather(1, own)[:, 0])
    probabilities = predictions.assignments.probabilities
    if probabilities is not None:
        probability = probabilities.gather(1, own)[:, 0]
        second, margin = _second(-probabilities, own, noise)
        return Answers(files, cluster, probability, second, margin, distance)
    if distances is None:
        return Answers(files, cluster)
    return Answers(files, cluster, None, *_second(distances, own, noise), distance)


def _distances(predictions: Predictions, centroids: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """Of every image to every centroid, by differences; infinite to the mean of noise, which is no cluster."""
    # Without matrix products, whose rounding would make a point at its centroid lie beside it.
    distances = torch.cdist(predictions.embedding, centroids, compute_mode="donot_use_mm_for_euclid_dist")
    if predictions.noise is not None:
        distances[:, predictions.noise] = torch.inf
    return distances


def _second(
    costs: Float[Tensor, "n k"], own: Int64[Tensor, "n 1"], noise: Bool[Tensor, " n"]
) -> tuple[Int64[Tensor, " n"] | None, Float[Tensor, " n"] | None]:
    """The cluster of least cost besides one's own, and by how much it costs more than one's own."""
    if costs.shape[1] < 2:
        return None, None
    cost, second = costs.scatter(1, own, torch.inf).min(dim=1)
    none = noise | cost.isinf()
    return second.masked_fill(none, NOISE), (cost - costs.gather(1, own)[:, 0]).masked_fill(none, torch.nan)


def _unless(noise: Bool[Tensor, " n"], values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return values.masked_fill(noise, torch.nan)


def columns(found: Answers, names: Mapping[int, str] | None = None) -> dict[str, list[str | int | float | None]]:
    """The table's columns by name; None is an empty cell.

    Args:
        found: the answers.
        names: what a person calls the clusters; without them the table has no column `name`.
    """
    cluster = found.cluster.tolist()
    table: dict[str, list[str | int | float | None]] = {"file": list(found.files), "cluster": cluster}
    if names:
        table["name"] = [names.get(number) for number in cluster]
    empty: list[str | int | float | None] = [None] * len(found)
    table["probability"] = _numbers(found.probability) or empty
    table["second"] = empty if found.second is None else [n if n != NOISE else None for n in found.second.tolist()]
    table["margin"] = _numbers(found.margin) or empty
    table["distance"] = _numbers(found.distance) or empty
    return table


def _numbers(values: Float[Tensor, " n"] | None) -> list[str | int | float | None] | None:
    """Six significant digits: more are noise of the arithmetic. NaN is None."""
    if values is None:
        return None
    return [float(f"{value:.6g}") if value == value else None for value in values.tolist()]


def as_csv(table: Mapping[str, Sequence[str | int | float | None]]) -> bytes:
    """A header, and a line an image. Names of files stand in it byte for byte."""
    import csv

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue().encode("utf-8", "surrogateescape")


def as_json(table: Mapping[str, Sequence[str | int | float | None]]) -> bytes:
    """A JSON object an image and line."""
    rows = zip(*table.values(), strict=True)
    return "".join(f"{json.dumps(dict(zip(table, row, strict=True)))}\n" for row in rows).encode()


def as_parquet(table: Mapping[str, Sequence[str | int | float | None]]) -> bytes:
    """A Parquet file; names that are no UTF-8 have escapes in place of their bytes."""
    import pyarrow as pa  # late, because only this format needs it
    import pyarrow.parquet

    from system.names import printable

    kinds = {"file": pa.string(), "name": pa.string(), "cluster": pa.int64(), "second": pa.int64()}
    arrays = {
        key: pa.array([printable(v) if isinstance(v, str) else v for v in values], kinds.get(key, pa.float64()))
        for key, values in table.items()
    }
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(arrays), buffer)
    return buffer.getvalue()


FORMATS: Mapping[str, Callable[[Mapping[str, Sequence[str | int | float | None]]], bytes]] = {
    "csv": as_csv,
    "json": as_json,
    "parquet": as_parquet,
}
