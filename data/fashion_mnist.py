"""Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28×28, ten classes.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms", 2017, https://github.com/zalandoresearch/fashion-mnist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from data import cache, debian, idx, network
from data.image_set import DataError, ImageSet
from data.names import Names
from data.places import NAMING, Attempt, Unavailable, search, user_places

NAME = "fashion-mnist"
CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
# Images and labels of every split.
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# Of the unpacked content: Debian and others compress the same files anew, so the .gz files differ.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
SUBFOLDERS = ("fashion-mnist", "FashionMNIST/raw")
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def load(split: str, data_root: Path | None = None) -> ImageSet:
    """The images of "train" or "test", (n, 1, 28, 28), from the first place that has them.

    Raises DataError that names every place tried.
    """
    remedies = (
        f"install Debian's package: apt-get install {DEBIAN_PACKAGE} (as root)",
        f"name the folder that holds the data: {NAMING}",
        f"put these four files into {cache.folder(NAME)}, gzipped or plain: {', '.join(SHA256)} "
        "(from https://github.com/zalandoresearch/fashion-mnist)",
    )
    return search(NAME, _attempts(split, data_root), remedies)


def _attempts(split: str, data_root: Path | None) -> Iterator[Attempt]:
    read = partial(_read, split=split)
    kept = cache.folder(NAME)
    yield from user_places(read, data_root, SUBFOLDERS)
    yield f"Debian's package in {DEBIAN_FOLDER}", partial(read, DEBIAN_FOLDER)
    yield f"cache {kept}", partial(read, kept)
    yield "torchvision's download", lambda: read(_download())
    yield f"Debian's package {DEBIAN_PACKAGE} by apt", lambda: read(_fetch_package())


def _read(folder: Path, split: str) -> ImageSet:
    """The split from files in `folder`, verified. Raises Unavailable when there are none."""
    images, labels = (idx.parse(content, path) for path, content in (_verified(folder, n) for n in FILES[split]))
    return ImageSet(
        NAME,
        split,
        torch.from_numpy(images).unsqueeze(1),
        torch.from_numpy(labels).long(),
        CLASS_NAMES,
        origin=str(folder),
        names=Names.rows(split, len(images)),
    )


def _verified(folder: Path, name: str) -> tuple[Path, bytes]:
    """The file `name` of `folder`, gzipped or plain, and its unpacked content once the SHA-256 is right."""
    problems: list[str] = []
    for path in (folder / f"{name}.gz", folder / name):
        try:
            content = idx.content(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(f"{path} cannot be read ({error.strerror}).")
            continue
        except DataError as error:
            problems.append(str(error))
            continue
        received = hashlib.sha256(content).hexdigest()
        if received == SHA256[name]:
            return path, content
        problems.append(
            f"{path} is not the published file: the SHA-256 of its content should be {SHA256[name]}, is {received}."
        )
    if problems:
        raise DataError(" ".join(problems))
    raise Unavailable(f"no {name}(.gz) there" if folder.is_dir() else "no such folder")


def _download() -> Path:
    from torchvision.datasets import FashionMNIST  # late, because it takes seconds to import

    with cache.staging(NAME) as folder, network.downloading(FashionMNIST.mirrors):
        FashionMNIST(folder, download=True)
        return _install(folder / "FashionMNIST" / "raw")


def _fetch_package() -> Path:
    with cache.staging(NAME) as folder:
        debian.unpack(DEBIAN_PACKAGE, folder)
        return _install(folder / DEBIAN_FOLDER.relative_to("/"))


def _install(folder: Path) -> Path:
    """Moves the four files to the cache, once all four are verified, and returns their new folder."""
    files = [_verified(folder, name)[0] for name in SHA256]
    cache.install(files, source=folder, target=cache.folder(NAME))
    return cache.folder(NAME)
