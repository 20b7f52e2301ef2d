"""The answer image by image, by hand."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import torch

from data.image_set import ImageSet
from evaluation.predictions import Predictions
from methods.base import Assignments
from report.answers import answers, as_csv, as_json, as_parquet, columns

FILES = ("cats/a.png", "b,c.png", 'd"e.png', "caf\udce9.png")
PIXELS = ImageSet("made", "train", torch.zeros(4, 1, 2, 2, dtype=torch.uint8))


def made(**given: object) -> Predictions:
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [10.0, 0.0]])
    return Predictions(PIXELS, z, Assignments(torch.tensor([0, 1, 0, 2])), 3, "made", **given)  # type: ignore[arg-type]


def test_probabilities_give_the_second_cluster_and_the_margin() -> None:
    p = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]])
    predictions = made()
    found = answers(
        Predictions(PIXELS, predictions.embedding, Assignments(predictions.assignments.labels, p), 3, "made"), FILES
    )
    assert found.probability is not None
    assert found.second is not None
    assert found.margin is not None
    torch.testing.assert_close(found.probability, torch.tensor([0.7, 0.6, 0.5, 1.0]))
    assert found.second.tolist()[:3] == [1, 2, 2]
    torch.testing.assert_close(found.margin, torch.tensor([0.5, 0.3, 0.0, 1.0]))
    assert found.distance is None


def test_centroids_give_distances_and_the_second_by_them() -> None:
    found = answers(made(centroids=torch.tensor([[0.0, 0.0], [3.0, 0.0], [10.0, 3.0]])), FILES)
    assert found.distance is not None
    assert found.second is not None
    assert found.margin is not None
    torch.testing.assert_close(found.distance, torch.tensor([0.0, 4.0, 1.0, 3.0]))
    assert found.second.tolist() == [1, 0, 1, 1]
    torch.testing.assert_close(found.margin, torch.tensor([3.0, 1.0, 10**0.5 - 1, 4.0]))
    assert found.probability is None


def test_noise_is_minus_one_and_nobody_s_second() -> None:
    found = answers(made(centroids=torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 0.5]]), noise=2), FILES)
    assert found.cluster.tolist() == [0, 1, 0, -1]
    assert found.second is not None
    assert found.second.tolist() == [1, 0, 1, -1]
    rows = list(csv.DictReader(io.StringIO(as_csv(columns(found)).decode("utf-8", "surrogateescape"))))
    assert rows[3] == {**dict.fromkeys(rows[3], ""), "file": "caf\udce9.png", "cluster": "-1"}


def test_a_method_with_labels_alone_leaves_the_rest_empty() -> None:
    table = columns(answers(made(), FILES))
    assert list(table) == ["file", "cluster", "probability", "second", "margin", "distance"]
    assert table["cluster"] == [0, 1, 0, 2]
    assert all(table[name] == [None] * 4 for name in ("probability", "second", "margin", "distance"))


def test_one_cluster_has_no_second() -> None:
    alone = Predictions(PIXELS, torch.ones(4, 2), Assignments(torch.zeros(4, dtype=torch.int64)), 1, "made",
                        centroids=torch.ones(1, 2))  # fmt: skip
    found = answers(alone, FILES)
    assert found.second is None
    assert found.margin is None
    assert found.distance is not None
    assert found.distance.tolist() == [0.0] * 4


def test_formats_hold_the_same_table() -> None:
    table = columns(answers(made(centroids=torch.tensor([[0.0, 0.0], [3.0, 0.0], [10.0, 3.0]])), FILES), {1: "boots"})
    assert table["name"] == [None, "boots", None, None]
    rows = list(csv.DictReader(io.StringIO(as_csv(table).decode("utf-8", "surrogateescape"))))
    assert [row["file"] for row in rows] == list(FILES)
    objects = [json.loads(line) for line in as_json(table).splitlines()]
    assert [one["margin"] for one in objects] == table["margin"]
    read = pq.read_table(io.BytesIO(as_parquet(table)))
    assert read["second"].to_pylist() == table["second"]
    assert read["file"].to_pylist() == [*FILES[:3], r"caf\xe9.png"]
