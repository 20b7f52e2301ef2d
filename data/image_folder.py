"""Images from a folder of image files, with classes where it has sub-folders.

    folder/*.png                                  images without labels
    folder/<class>/**/*.png                       images with labels
    folder/train/…, folder/test/…                 the same, with splits

One set has one size and one number of channels, decided over all its files, both splits together:

* Size: the most common one, if no side of it exceeds 96 pixels; otherwise 64×64. Images of another size are
  scaled, keeping their proportions, until they just cover it, and cropped around the centre.
* Channels: 1 if all images are grey, otherwise 3.
* 16-bit grey is scaled to 8 bits. Transparent parts are shown on white. Animations give their
  first image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from data.files import exists, files_below, is_file, is_folder, reason
from data.image_set import DataError, ImageSet

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"),
    *(".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"),
)
LARGEST_SIDE = 96  # Up to here the networks take images as they are.
REDUCED_SIDE = 64
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
EXIF_ORIENTATION = 0x0112
EXIF_TURNED = (5, 6, 7, 8)  # Shown with height and width exchanged.
SHOWN = 5

T = TypeVar("T")


@dataclass(frozen=True)
class _File:
    path: Path
    class_name: str | None


@dataclass(frozen=True)
class _Header:
    size: tuple[int, int]  # height, width
    grey: bool


def load(path: Path, split: str) -> ImageSet:
    """The images of the folder, (n, c, h, w), sorted by path.

    With both sub-folders `train` and `test` (or with nothing but `train`) these are the splits; otherwise all
    images are "train", and "all". Raises DataError when there are none, or when files cannot be read.
    """
    parts = _parts(path)
    files = {part: _files(folder) for part, folder in parts.items()}
    everything = [file for part in files.values() for file in part]
    if split != "all" and split not in files:
        raise DataError(f"{path} has no {split} split. Put images into its sub-folders train and test to have one.")
    chosen = everything if split == "all" else files[split]
    headers = _read_all(everything, _header)
    size = _common_size([header.size for header in headers])
    mode = "L" if all(header.grey for header in headers) else "RGB"
    images = torch.stack(_read_all(chosen, partial(_pixels, size=size, mode=mode)))
    names = sorted({file.class_name for file in everything if file.class_name is not None})
    number = {name: label for label, name in enumerate(names)}
    labels = [number[file.class_name] for file in chosen if file.class_name is not None]
    if len(labels) < len(chosen):
        return ImageSet(str(path), split, images, origin=str(path))
    return ImageSet(str(path), split, images, torch.tensor(labels), tuple(names), origin=str(path))


def _parts(path: Path) -> dict[str, Path]:
    """The folder of every split, "train" first."""
    folders = {folder.name for folder in _subfolders(path)}
    if {"train", "test"} <= folders:
        return {"train": path / "train", "test": path / "test"}
    return {"train": path / "train" if folders == {"train"} else path}


def _files(folder: Path) -> list[_File]:
    """The image files of one split, sorted by path, each with its class if there are classes."""
    loose = [path for path in folder.iterdir() if _is_image(path)]
    classes = [_File(path, sub.name) for sub in _subfolders(folder) for path in files_below(sub) if _is_image(path)]
    if loose and classes:
        raise DataError(
            f"{folder} holds images itself ({min(loose).name}, …) and in sub-folders "
            f"({min(classes, key=lambda file: file.path).path.relative_to(folder)}, …). "
            "Keep either all in the folder (no labels) or all in sub-folders (one for each class)."
        )
    if not loose and not classes:
        raise DataError(f"{folder} holds no images ({', '.join(EXTENSIONS)}), nor do its sub-folders.")
    return sorted(classes or [_File(path, None) for path in loose], key=lambda file: file.path)


def _subfolders(folder: Path) -> list[Path]:
    # The root of a disk has a folder for what fsck finds, which nobody but root may enter.
    passed_over = (".", "lost+found")
    return sorted(path for path in folder.iterdir() if is_folder(path) and not path.name.startswith(passed_over))


def _is_image(path: Path) -> bool:
    # Hidden files are no images, whatever they are called: macOS leaves a `._x.png` beside each x.png.
    named = path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    # A link to nothing is an image that cannot be read, not one that is not there.
    return named and (is_file(path) or (path.is_symlink() and not exists(path)))


def _read_all(files: Sequence[_File], read: Callable[[Path], T]) -> list[T]:
    """`read` of every file. Raises one DataError that counts and names the files that cannot be read."""
    results: list[T] = []
    broken: list[str] = []
    for file in files:
        try:
            results.append(read(file.path))
        except MemoryError:
            raise
        except Exception as error:  # Damaged files make image decoders raise all sorts of things.
            broken.append(f"{file.path} ({reason(error, file.path)})")
    if broken:
        more = [f"… and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        lines = "".join(f"\n  - {line}" for line in broken[:SHOWN] + more)
        raise DataError(
            f"{len(broken)} of {len(files)} image files cannot be read. Mend them or take them away:{lines}"
        )
    return results


def _header(path: Path) -> _Header:
    with Image.open(path) as image:
        width, height = image.size
        if image.getexif().get(EXIF_ORIENTATION) in EXIF_TURNED:
            width, height = height, width
        return _Header((height, width), image.mode in GREY_MODES)


def _common_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width for all images. Among equally common sizes the smallest counts."""
    counts = Counter(sizes)
    size = min(counts, key=lambda size: (-counts[size], size))
    return size if max(size) <= LARGEST_SIDE else (REDUCED_SIDE, REDUCED_SIDE)


def _pixels(path: Path, size: tuple[int, int], mode: str) -> UInt8[Tensor, "c h w"]:
    height, width = size
    with Image.open(path) as file:
        image = _on_white(_eight_bit(ImageOps.exif_transpose(file))).convert(mode)
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    pixels = np.array(image)  # (h, w) or (h, w, 3)
    return torch.from_numpy(pixels.reshape(height, width, -1)).permute(2, 0, 1).contiguous()


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey, which Pillow would clip instead of scaling."""
    if image.mode == "F":
        raise ValueError("pixels are 32-bit floats; save 8-bit images")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.float64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels are 32-bit integers; save 8-bit or 16-bit images")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))  # 65535 = 257 · 255


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ALPHA_MODES and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
