"""What TensorBoard is given, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import logging
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from data.image_set import ImageSet
from methods.base import Assignments
from report.tensorboard.page import TensorBoardObserver, is_pictured

N, K = 30, 3
WATCHED = [f"watch only, uses labels/{name}" for name in ("acc", "nmi", "ari")]
EVERYTHING = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}


def image_set(labels: bool = True) -> ImageSet:
    """Image i is of grey level i; its class is i mod 3."""
    images = torch.arange(N, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 8, 8)
    classes = torch.arange(N) % 3 if labels else None
    return ImageSet("made", "train", images, classes, ("a", "b", "c") if labels else ())


class Plain(nn.Module):
    """A method that uses dropout and every global generator, to be caught when an observer disturbs it."""

    space, dimensions = "made", 2
    clusters = 3
    notes = ()

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 2)
        self.dropout = nn.Dropout(0.5)
        self.modes: list[bool] = []

    def phases(self, images, compute):
        raise NotImplementedError

    def embed(self, images):
        self.modes.append(self.training)
        torch.rand(3), np.random.rand(3)  # noqa: NPY002
        with torch.no_grad():
            return self.dropout(self.layer(images.flatten(1).float()))

    def assign(self, images):
        return Assignments(images[:, 0, 0, 0].long() % K)


class Decoding(Plain):
    def reconstruct(self, images):
        torch.rand(3)
        self.modes.append(self.training)
        return images + 100

    def decoded_centroids(self):
        return torch.arange(K, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 8, 8)


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance=EVERYTHING).Reload()


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in read(folder).Scalars(tag)]


def picture(event) -> np.ndarray:
    with Image.open(io.BytesIO(event.encoded_image_string)) as image:
        return np.asarray(image)


ASSIGNED = torch.cat([torch.arange(20) % 3, torch.zeros(10, dtype=torch.int64)])


def run(observer: TensorBoardObserver, method) -> None:
    """Two epochs of pretraining, a fit, and two epochs of clustering; ten steps an epoch."""
    observer.scalars(0, {"pretrain/loss": 4.0, "pretrain/learning_rate": 0.5})
    observer.epoch_finished("pretrain", 1, 10, method)
    observer.scalars(10, {"pretrain/loss": 2.0, "pretrain/learning_rate": 0.25})
    observer.epoch_finished("pretrain", 2, 20, method)
    observer.phase_finished("pretrain", 20, method)
    observer.phase_finished("initialise", 20, method)
    observer.refreshed("cluster", 20, torch.arange(N) % 3, K)
    observer.scalars(20, {"cluster/loss": 1.0})
    observer.epoch_finished("cluster", 1, 30, method)
    observer.refreshed("cluster", 30, ASSIGNED, K)
    observer.scalars(30, {"cluster/changed": 0.25})
    observer.epoch_finished("cluster", 2, 40, method)
    observer.phase_finished("cluster", 40, method)
    observer.close()


@pytest.fixture
def written(tmp_path) -> Path:
    run(TensorBoardObserver(tmp_path, image_set(), K, config="method: made\nclusters: 3"), Decoding())
    return tmp_path


def test_scalars_are_written_at_their_steps(written):
    assert points(written, "pretrain/loss") == [(0, 4.0), (10, 2.0)]
    assert points(written, "pretrain/learning_rate") == [(0, 0.5), (10, 0.25)]
    assert points(written, "cluster/loss") == [(20, 1.0)]
    assert points(written, "cluster/changed") == [(30, 0.25)]


def test_cluster_sizes_are_written_at_every_refresh(written):
    # 20 images are 7, 7 and 6 of the clusters; ten more are in the first.
    assert points(written, "cluster sizes/largest") == [(20, 10), (30, 17)]
    assert points(written, "cluster sizes/smallest") == [(20, 10), (30, 6)]
    assert points(written, "cluster sizes/used") == [(20, 3), (30, 3)]
    last = read(written).Histograms("cluster sizes/images by cluster")[-1]
    assert (last.step, last.histogram_value.num) == (30, 30)
    # The reader puts an empty bin below the first.
    assert list(last.histogram_value.bucket)[-3:] == [17, 7, 6]
    assert list(last.histogram_value.bucket_limit)[-3:] == [0.5, 1.5, 2.5]
    assert last.histogram_value.sum == 7 * 1 + 6 * 2


def test_scores_stand_under_a_heading_that_says_watch_only(written):
    truth = image_set().labels
    # The first 20 agree, and of the last ten (classes 2, 0, 1, …) the three of class 0.
    expected = [23 / 30, normalized_mutual_info_score(truth, ASSIGNED), adjusted_rand_score(truth, ASSIGNED)]
    for tag, value in zip(WATCHED, expected, strict=True):
        assert points(written, tag) == [(20, 1.0), (30, value)]


def test_without_labels_there_are_no_scores(tmp_path):
    run(TensorBoardObserver(tmp_path, image_set(labels=False), K), Plain())
    assert not [tag for tag in read(tmp_path).Tags()["scalars"] if "label" in tag]
    assert "class" not in (tmp_path / "projector" / "after-cluster-metadata.tsv").read_text()


def test_labels_change_nothing_but_scores_and_metadata(tmp_path):
    shuffled = replace(image_set(), labels=image_set().labels.flip(0))
    for name, images in (("true", image_set()), ("shuffled", shuffled)):
        run(TensorBoardObserver(tmp_path / name, images, K), Plain_with_seed())
    true, other = read(tmp_path / "true"), read(tmp_path / "shuffled")
    for tag in set(true.Tags()["scalars"]) - set(WATCHED):
        assert points(tmp_path / "true", tag) == points(tmp_path / "shuffled", tag)
    for tag in true.Tags()["images"]:
        for a, b in zip(true.Images(tag), other.Images(tag), strict=True):
            assert a.encoded_image_string == b.encoded_image_string
    embeddings = [tmp_path / name / "projector" / "after-cluster.tsv" for name in ("true", "shuffled")]
    assert embeddings[0].read_text() == embeddings[1].read_text()


def Plain_with_seed() -> Decoding:
    torch.manual_seed(0)
    return Decoding()


def test_pictures_are_dated_with_the_last_finished_step_and_never_doubled(written):
    events = read(written)
    steps = {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}
    assert steps == {
        "pictures/originals above reconstructions": [9, 19, 29, 39],
        "pictures/decoded centroids": [19, 29, 39],
        "pictures/members of every cluster": [19, 29, 39],
    }


def test_pictures_show_what_they_say(written):
    events = read(written)
    tile = 48 + 2  # images of 8 pixels are enlarged to 48, with 2 between
    pairs = picture(events.Images("pictures/originals above reconstructions")[0])
    originals, decoded = pairs[2::tile, 2::tile][0::2], pairs[2::tile, 2::tile][1::2]
    assert originals.shape == (2, 10, 3)
    assert (decoded == originals + 100).all()
    centroids = picture(events.Images("pictures/decoded centroids")[0])
    assert centroids[2::tile, 2::tile, 0].tolist() == [[0, 1, 2]]
    members = picture(events.Images("pictures/members of every cluster")[-1])[2::tile, 2::tile, 0]
    assert members.tolist() == [
        [0, 3, 6, 9, 12, 15, 18, 20, 21, 22],
        [1, 4, 7, 10, 13, 16, 19, 255, 255, 255],
        [2, 5, 8, 11, 14, 17, 255, 255, 255, 255],
    ]


def test_a_method_without_decoder_is_shown_by_its_clusters(tmp_path):
    run(TensorBoardObserver(tmp_path, image_set(), K), Plain())
    assert read(tmp_path).Tags()["images"] == ["pictures/members of every cluster"]


def test_pages_tell_the_config_and_what_to_look_at(written):
    events = read(written)
    config, guide = (events.Tensors(f"{name}/text_summary")[0].tensor_proto for name in ("config", "guide"))
    assert config.string_val[0].decode() == "    method: made\n    clusters: 3\n"
    assert b"The training never sees these" in guide.string_val[0]
    assert "custom_scalars__config__" in events.Tags()["tensors"]


def test_a_resumed_run_has_every_point_once(tmp_path):
    images, method = image_set(), Decoding()
    killed = TensorBoardObserver(tmp_path, images, K)
    for step in range(0, 30, 5):
        killed.scalars(step, {"cluster/loss": float(step)})
        if step % 10 == 0:
            killed.refreshed("cluster", step, ASSIGNED, K)
        if step % 10 == 5:
            killed.epoch_finished("cluster", 1, step + 5, method)
    # It is killed here, without being closed, after a checkpoint at step 20.
    resumed = TensorBoardObserver(tmp_path, images, K, first_step=20)
    for step in range(20, 40, 5):
        resumed.scalars(step, {"cluster/loss": step + 0.5})
        if step % 10 == 0:
            resumed.refreshed("cluster", step, ASSIGNED, K)
        if step % 10 == 5:
            resumed.epoch_finished("cluster", 1, step + 5, method)
    resumed.close()
    killed.close()
    losses = points(tmp_path, "cluster/loss")
    assert losses == [(0, 0.0), (5, 5.0), (10, 10.0), (15, 15.0), (20, 20.5), (25, 25.5), (30, 30.5), (35, 35.5)]
    assert [step for step, _ in points(tmp_path, "cluster sizes/used")] == [0, 10, 20, 30]
    shown = read(tmp_path).Images("pictures/decoded centroids")
    assert [event.step for event in shown] == [9, 19, 29, 39]


def test_a_run_that_starts_anew_leaves_nothing_of_the_earlier_one(written):
    TensorBoardObserver(written, image_set(), K).close()
    assert read(written).Tags()["scalars"] == []
    assert len(list(written.glob("events*"))) == 1
    assert not (written / "projector_config.pbtxt").exists()


def train(observer: TensorBoardObserver | None) -> tuple[list[torch.Tensor], list[float]]:
    """A few steps with dropout and draws from every global generator; the weights and what was drawn."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    method, drawn = Decoding(), []
    optimiser = torch.optim.SGD(method.parameters(), lr=0.01)
    x = image_set().images.flatten(1).float() / 255
    for step in range(6):
        if observer is not None and step % 2 == 0:
            observer.refreshed("cluster", step, ASSIGNED, K)
            observer.scalars(step, {"cluster/loss": 1.0})
        loss = method.dropout(method.layer(x + torch.rand_like(x))).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        drawn += [float(torch.rand(())), float(np.random.rand())]  # noqa: NPY002
        if observer is not None:
            observer.epoch_finished("cluster", step + 1, step + 1, method)
            observer.phase_finished("cluster", step + 1, method)
    return [parameter.detach() for parameter in method.parameters()], drawn


def test_training_is_the_same_bit_for_bit_with_and_without_an_observer(tmp_path):
    observer = TensorBoardObserver(tmp_path, image_set(), K)
    watched, drawn = train(observer)
    observer.close()
    alone, drawn_alone = train(None)
    assert drawn == drawn_alone
    for a, b in zip(watched, alone, strict=True):
        assert torch.equal(a, b)


def test_a_method_is_watched_in_evaluation_mode_and_its_modes_are_put_back(tmp_path):
    method = Decoding().train()
    method.layer.eval()
    run(TensorBoardObserver(tmp_path, image_set(), K), method)
    assert set(method.modes) == {False}
    assert [module.training for module in method.modules()] == [True, False, True]


def test_a_folder_that_cannot_be_made_is_reported_once_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        run(TensorBoardObserver(tmp_path / "file" / "tb", image_set(), K), Decoding())
    assert len(caplog.messages) == 1
    assert "cannot be written" in caplog.messages[0]


def test_a_disk_that_fills_up_is_reported_once_and_stops_nothing(tmp_path, caplog):
    observer = TensorBoardObserver(tmp_path, image_set(), K)
    observer.scalars(0, {"pretrain/loss": 1.0})
    (events,) = tmp_path.glob("events*")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system then refuses to let any file grow beyond this size.
    resource.setrlimit(resource.RLIMIT_FSIZE, (events.stat().st_size + 100, hard))
    try:
        for step in range(1, 50):
            observer.scalars(step, {"pretrain/loss": 1.0})
        observer.phase_finished("cluster", 50, Decoding())
        observer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(caplog.messages) == 1
    # What was written before can still be read.
    assert points(tmp_path, "pretrain/loss")[0] == (0, 1.0)


def test_pictured_epochs():
    assert [epoch for epoch in range(1, 1001) if is_pictured(epoch)] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
