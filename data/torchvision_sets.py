"""Labelled data sets that torchvision knows, behind one adapter.

torchvision downloads, verifies and parses; here its arrays become an `ImageSet`. A set is looked for in the
user's folders and in the cache, in torchvision's layout, and is downloaded only when it is in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from data import cache, network
from data.image_set import DataError, ImageSet
from data.names import Names
from data.places import NAMING, Attempt, Unavailable, search, user_places

DIGITS = tuple(str(digit) for digit in range(10))
TRAIN_FLAG: Mapping[str, Mapping[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
SPLIT_NAME: Mapping[str, Mapping[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}

# A file below torchvision's root, and its MD5 where torchvision publishes one and leaves the check to us.
File = tuple[str, str | None]


@dataclass(frozen=True)
class TorchvisionSet:
    """How one of torchvision's classes is used.

    Attributes:
        class_name: its name in torchvision.datasets.
        class_names: the names of the image classes, by label.
        arguments: the constructor's arguments for every split.
        files: from the class and a split, the files that the constructor needs.
        urls: from the class, where torchvision downloads from.
        channels_last: whether its images are (n, h, w, c); otherwise (n, c, h, w) or (n, h, w).
        labels: the attribute that holds the labels.
    """

    class_name: str
    class_names: tuple[str, ...]
    arguments: Mapping[str, Mapping[str, Any]]
    files: Callable[[Any, str], list[File]]
    urls: Callable[[Any], list[str]]
    channels_last: bool = False
    labels: str = "targets"


def _idx_files(dataset: Any, split: str) -> list[File]:
    # torchvision asks for both splits' files whichever it reads.
    return [(f"{dataset.__name__}/raw/{Path(name).stem}", None) for name, _ in dataset.resources]


def _usps_files(dataset: Any, split: str) -> list[File]:
    _, name, md5 = dataset.split_list[split]
    return [(name, md5)]  # torchvision verifies USPS only while it downloads.


def _cifar_files(dataset: Any, split: str) -> list[File]:
    batches = [name for name, _ in dataset.train_list + dataset.test_list]
    return [(f"{dataset.base_folder}/{name}", None) for name in (*batches, dataset.meta["filename"])]


def _stl_files(dataset: Any, split: str) -> list[File]:
    return [(f"{dataset.base_folder}/{name}", None) for name, _ in dataset.train_list + dataset.test_list]


SETS: Mapping[str, TorchvisionSet] = {
    "mnist": TorchvisionSet("MNIST", DIGITS, TRAIN_FLAG, _idx_files, lambda dataset: dataset.mirrors),
    "kmnist": TorchvisionSet(
        "KMNIST",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        TRAIN_FLAG,
        _idx_files,
        lambda dataset: dataset.mirrors,
    ),
    "usps": TorchvisionSet(
        "USPS",
        DIGITS,
        TRAIN_FLAG,
        _usps_files,
        lambda dataset: [url for url, *_ in dataset.split_list.values()],
    ),
    "cifar10": TorchvisionSet(
        "CIFAR10",
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        TRAIN_FLAG,
        _cifar_files,
        lambda dataset: [dataset.url],
        channels_last=True,
    ),
    "stl10": TorchvisionSet(
        "STL10",
        ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
        SPLIT_NAME,
        _stl_files,
        lambda dataset: [dataset.url],
        labels="labels",
    ),
}


def load(name: str, split: str, data_root: Path | None = None) -> ImageSet:
    """The images of "train" or "test" of the set `name`, a key of `SETS`, (n, c, h, w), with labels.

    Raises DataError that names every place tried.
    """
    import torchvision  # late, because it takes seconds to import

    entry = SETS[name]
    dataset = getattr(torchvision.datasets, entry.class_name)
    needed = [path for path, _ in entry.files(dataset, split)]
    remedies = (
        f"name the folder that holds the data as torchvision keeps it (with {needed[0]} in it): {NAMING}",
        f"download from {' or '.join(entry.urls(dataset))} elsewhere and unpack into {cache.folder(name)}, "
        f"so that these files are there: {', '.join(needed)}",
    )
    return search(name, _attempts(name, dataset, split, data_root), remedies)


def _attempts(name: str, dataset: Any, split: str, data_root: Path | None) -> Iterator[Attempt]:
    read = partial(_read, name, dataset, split)
    kept = cache.folder(name)
    yield from user_places(read, data_root, subfolders=(name,))
    yield f"cache {kept}", partial(read, kept)
    yield "torchvision's download", lambda: read(_download(name, dataset, split))


def _read(name: str, dataset: Any, split: str, folder: Path) -> ImageSet:
    """The split from torchvision's files in `folder`. Raises Unavailable when they are not there."""
    from torchvision.datasets.utils import check_integrity

    entry = SETS[name]
    for file, md5 in entry.files(dataset, split):
        if not (folder / file).is_file():
            raise Unavailable(f"no {file} there" if folder.is_dir() else "no such folder")
        if md5 is not None and not check_integrity(folder / file, md5):
            raise DataError(f"{folder / file} is not the published file: its MD5 should be {md5}.")
    try:
        parsed = dataset(folder, **entry.arguments[split])
    except Exception as error:  # Damaged files make torchvision's parsers raise all sorts of things.
        raise DataError(f"torchvision cannot read its files in {folder} ({type(error).__name__}: {error}).") from error
    return ImageSet(
        name,
        split,
        _channels_first(parsed.data, entry.channels_last),
        torch.as_tensor(np.asarray(getattr(parsed, entry.labels))).long(),
        entry.class_names,
        origin=str(folder),
        names=Names.rows(split, len(parsed.data)),
    )


def _channels_first(data: Any, channels_last: bool) -> UInt8[Tensor, "n c h w"]:
    images = torch.as_tensor(data)
    if images.ndim == 3:
        images = images.unsqueeze(1)
    if channels_last:
        images = images.permute(0, 3, 1, 2)
    return images.contiguous()


def _download(name: str, dataset: Any, split: str) -> Path:
    """Downloads `name` beside the cache, then moves it in. Returns its folder there."""
    entry = SETS[name]
    with cache.staging(name) as folder, network.downloading(entry.urls(dataset)):
        dataset(folder, **entry.arguments[split], download=True)
        # Archives (.gz) are unpacked by now. USPS stays packed, as .bz2.
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".gz"]
        cache.install(files, source=folder, target=cache.folder(name))
    return cache.folder(name)
