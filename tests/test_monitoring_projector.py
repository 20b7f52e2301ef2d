"""Files of the embedding projector, against the format that its reader parses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from report.tensorboard.events import EventFile
from report.tensorboard.projector import Projector, metadata_table, thumbnails


def images(n: int, c: int = 1, h: int = 8, w: int = 6) -> torch.Tensor:
    return torch.arange(n, dtype=torch.uint8)[:, None, None, None].repeat(1, c, h, w)


def read(folder: Path) -> ProjectorConfig:
    return text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())


def test_every_file_that_the_config_names_holds_what_it_says(tmp_path):
    points = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    clusters = [f"cluster {i}" for i in range(7)]
    Projector(tmp_path, images(7), anew=True).add("after-it", points, {"cluster": clusters, "position": range(7)})
    (info,) = read(tmp_path).embeddings
    assert info.tensor_name == "after-it"
    np.testing.assert_allclose(np.loadtxt(tmp_path / info.tensor_path, delimiter="\t"), points, rtol=1e-5)
    lines = (tmp_path / info.metadata_path).read_text().splitlines()
    assert lines[0] == "cluster\tposition"
    assert lines[1:] == [f"cluster {i}\t{i}" for i in range(7)]
    assert list(info.sprite.single_image_dim) == [6, 8]
    with Image.open(tmp_path / info.sprite.image_path) as sprite:
        pixels = np.asarray(sprite)
    # ⌈√7⌉ = 3 thumbnails a line.
    assert pixels.shape == (3 * 8, 3 * 6, 3)
    assert pixels[::8, ::6, 0].flatten().tolist()[:7] == list(range(7))


def test_a_resumed_run_keeps_earlier_embeddings_and_replaces_those_of_the_same_name(tmp_path):
    first = Projector(tmp_path, images(4), anew=True)
    first.add("after-pretrain", torch.zeros(4, 2), {"position": range(4)})
    first.add("after-cluster", torch.zeros(4, 2), {"position": range(4)})
    Projector(tmp_path, images(4), anew=False).add("after-cluster", torch.ones(4, 3), {"position": range(4)})
    shown = read(tmp_path).embeddings
    assert [info.tensor_name for info in shown] == ["after-pretrain", "after-cluster"]
    assert np.loadtxt(tmp_path / shown[1].tensor_path).shape == (4, 3)


def test_a_new_run_forgets_those_of_an_earlier_one(tmp_path):
    Projector(tmp_path, images(4), anew=True).add("after-pretrain", torch.zeros(4, 2), {"position": range(4)})
    Projector(tmp_path, images(4), anew=True).add("after-cluster", torch.zeros(4, 2), {"position": range(4)})
    assert [info.tensor_name for info in read(tmp_path).embeddings] == ["after-cluster"]


def test_metadata_has_a_heading_only_above_several_columns():
    assert metadata_table({"position": [3, 4]}) == "3\n4\n"
    assert metadata_table({"class": ["a\tb", "c\nd"], "n": [1, 2]}) == "class\tn\na\\tb\t1\nc\\nd\t2\n"


@pytest.mark.parametrize(("h", "w", "expected"), [(28, 28, (28, 28)), (96, 96, (48, 48)), (96, 24, (48, 12))])
def test_thumbnails_are_averaged_down_to_48_pixels(h, w, expected):
    stripes = torch.zeros(2, 3, h, w, dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    small = thumbnails(stripes)
    assert tuple(small.shape[2:]) == expected
    if h > 48:
        assert (small == 100).all()


def test_names_of_any_kind_get_into_the_files(tmp_path):
    columns = {"class": ["latin\udce9", "a\r\nb", "ねこ"], "position": range(3)}
    Projector(tmp_path, images(3), anew=True).add("after-it", torch.zeros(3, 2), columns)
    (info,) = read(tmp_path).embeddings
    lines = (tmp_path / info.metadata_path).read_text("utf-8").split("\n")
    assert lines == ["class\tposition", "latin\\xe9\t0", "a\\r\\nb\t1", "ねこ\t2", ""]


def test_texts_of_any_kind_get_into_the_events(tmp_path):
    events = EventFile(tmp_path, 0)
    events.text("config", "name: latin\udce9\nnext: ねこ", 0)
    events.close()
    loaded = EventAccumulator(str(tmp_path)).Reload()
    (event,) = loaded.Tensors("config/text_summary")
    assert event.tensor_proto.string_val[0].decode() == "name: latin\\xe9\nnext: ねこ"
