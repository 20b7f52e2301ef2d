"""Images from .parquet files in Hugging Face's layout: a row an image, kept as the bytes of an image file.

    image   binary, or a struct with a binary field `bytes`: a PNG, or what else Pillow reads
    label   integers, if wanted; the names of the classes stand in the schema's metadata under `huggingface`

A path is one file or a folder of files. Shards, train-00000-of-00002.parquet and so on, belong together. The test
split of files train… are the files test… beside them. In a folder other files count only where it has neither.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from data.files import is_file, is_folder, reason
from data.image_set import DataError, ImageSet
from data.parts import Part, assemble, choose, name_of_test

SUFFIX = ".parquet"
SHARD = re.compile(r"(?P<group>.+)-(?P<number>\d+)-of-(?P<total>\d+)")
MODES = ("L", "RGB")  # Pillow's names for 8-bit grey and colour
FORM = (
    "A .parquet file holds a column `image`, the bytes of image files as binary or as struct<bytes, path>, "
    "and if wanted a column `label` of integers."
)
ANY_IMAGES = "A folder of image files may hold images of several sizes and modes."
ROWS_AT_ONCE = 1024


def holds(folder: Path) -> bool:
    """Whether the folder has .parquet files."""
    return bool(_groups(folder))


def load(path: Path, split: str) -> ImageSet:
    """The images of the file or files, (n, c, h, w), with labels if all have them; c is 1 (grey) or 3.

    A file, or folder of files, whose names say nothing of a split is the train split. Without names in the metadata
    the classes are named after the label values that occur in either split. Raises DataError for files that are
    damaged, missing or of another form, for images that differ in size or mode, and for a split that is not there.
    """
    splits = _files(path)
    chosen = [
        file
        for group in choose(
            splits, split, path, "The splits are told by the files' names, train….parquet and test….parquet."
        )
        for file in group
    ]
    everything = [file for group in splits.values() for file in group]
    names = _class_names(everything)
    others = [] if names else [file for file in everything if file not in chosen]
    elsewhere = [values for values in map(_label_values, others) if values is not None]
    return assemble(path, split, [_part(file) for file in chosen], names, elsewhere)


def _files(path: Path) -> dict[str, list[Path]]:
    """The files of every split, in order."""
    if is_folder(path):
        groups = _groups(path)
        splits = {
            split: [file for group, files in groups.items() if group.startswith(split) for file in files]
            for split in ("train", "test")
        }
        if not any(splits.values()):
            splits["train"] = [file for files in groups.values() for file in files]
    else:
        groups = _groups(path.parent)
        own = _group(path)
        splits = {"train": groups.get(own, [path]), "test": groups.get(name_of_test(own) or "", [])}
    return {split: _complete(files) for split, files in splits.items() if files}


def _groups(folder: Path) -> dict[str, list[Path]]:
    """The .parquet files of the folder, shards of one set together, all sorted by name."""
    groups: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        # Hidden files are no data: macOS leaves a `._x.parquet` beside each x.parquet.
        if file.suffix.lower() == SUFFIX and not file.name.startswith(".") and is_file(file):
            groups.setdefault(_group(file), []).append(file)
    return groups


def _group(file: Path) -> str:
    match = SHARD.fullmatch(file.stem)
    return match["group"] if match else file.stem


def _complete(files: Sequence[Path]) -> list[Path]:
    """`files`. Raises DataError where one of their shards is missing."""
    names = {file.stem for file in files}
    for file in files:
        match = SHARD.fullmatch(file.stem)
        if match is None:
            continue
        digits = len(match["number"])
        shards = (f"{match['group']}-{i:0{digits}}-of-{match['total']}" for i in range(int(match["total"])))
        missing = next((shard for shard in shards if shard not in names), None)
        if missing is not None:
            raise DataError(f"{file.parent} has {file.name}, but not all its shards: {missing}{SUFFIX} is missing.")
    return list(files)


def _class_names(files: Sequence[Path]) -> tuple[str, ...]:
    """The names of the classes that the files' metadata give; none where they give none."""
    found = {file: _names_in(_schema(file).metadata or {}) for file in files}
    first = found[files[0]]
    for file, names in found.items():
        if names != first:
            raise DataError(f"{files[0]} and {file} name different classes in their metadata.")
    return first


def _names_in(metadata: dict[bytes, bytes]) -> tuple[str, ...]:
    try:
        label = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]
        return tuple(str(name) for name in label["names"])
    except (KeyError, TypeError, ValueError):  # Other programs may keep other things there.
        return ()


def _part(path: Path) -> Part:
    labelled = "label" in _schema(path).names
    pixels: UInt8[np.ndarray, "n c h w"] | None = None
    values: list[Int64[np.ndarray, " _"]] = []
    row = 0
    for batch in _batches(path, ["image", "label"] if labelled else ["image"]):
        if labelled:
            values.append(_as_int64(batch.column("label"), path))
        for content in _contents(batch.column("image"), path):
            image = _decode(content, f"{path}: image {row}")
            if pixels is None:
                pixels = np.empty((_rows(path), *image.shape), dtype=np.uint8)
            if image.shape != pixels.shape[1:]:
                raise DataError(
                    f"{path}: image {row} has the shape {image.shape} (channels, height, width), but those before it "
                    f"have {pixels.shape[1:]}. Images of one set share one shape. {ANY_IMAGES}"
                )
            pixels[row] = image
            row += 1
    if pixels is None:
        raise DataError(f"{path} holds no images.")
    return Part(path, pixels, np.concatenate(values) if labelled else None)


def _label_values(path: Path) -> Int64[np.ndarray, " n"] | None:
    if "label" not in _schema(path).names:
        return None
    empty = np.empty(0, dtype=np.int64)
    return np.concatenate([empty, *(_as_int64(batch.column("label"), path) for batch in _batches(path, ["label"]))])


def _as_int64(labels: Any, path: Path) -> Int64[np.ndarray, " n"]:
    import pyarrow as pa

    if not pa.types.is_integer(labels.type) or labels.null_count:
        found = f"{labels.null_count} of them missing" if labels.null_count else str(labels.type)
        raise DataError(f"{path}: `label` must be integers; it is {found}. {FORM}")
    values: Int64[np.ndarray, " n"] = labels.to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def _contents(images: Any, path: Path) -> list[bytes | None]:
    """The bytes of every image file; None where there are none."""
    import pyarrow as pa
    import pyarrow.compute

    if pa.types.is_struct(images.type) and images.type.get_field_index("bytes") >= 0:
        images = pyarrow.compute.struct_field(images, "bytes")
    if not (pa.types.is_binary(images.type) or pa.types.is_large_binary(images.type)):
        raise DataError(f"{path}: `image` is {images.type}. {FORM}")
    contents: list[bytes | None] = images.to_pylist()
    return contents


def _decode(content: bytes | None, where: str) -> UInt8[np.ndarray, "c h w"]:
    if content is None:
        raise DataError(f"{where} is missing: the file must hold the image itself, and not only its path. {FORM}")
    try:
        stream = BytesIO(content)
        with Image.open(stream) as file:
            mode = file.mode
            image = np.asarray(file) if mode in MODES else None
    except MemoryError:
        raise
    except Exception as error:  # Damaged files make image decoders raise all sorts of things.
        # Pillow would call the image by the stream's place in the memory.
        raise DataError(f"{where} cannot be read ({reason(error).removesuffix(f' {stream!r}')}).") from error
    if image is None:
        raise DataError(f"{where} has Pillow's mode {mode}; modes are {' and '.join(MODES)}. {ANY_IMAGES}")
    return image[None] if image.ndim == 2 else image.transpose(2, 0, 1)


def _schema(path: Path) -> Any:
    with _open(path) as file:
        schema = file.schema_arrow
    for name in ("image", "label"):
        if schema.names.count(name) > 1:
            raise DataError(f"{path} has {schema.names.count(name)} columns named `{name}`; one is allowed. {FORM}")
    if "image" not in schema.names:
        raise DataError(f"{path} has no column `image`; it has: {', '.join(schema.names) or 'nothing'}. {FORM}")
    return schema


def _rows(path: Path) -> int:
    with _open(path) as file:
        return int(file.metadata.num_rows)


def _open(path: Path) -> Any:
    import pyarrow.parquet  # late, because only files of tables need it

    try:
        return pyarrow.parquet.ParquetFile(path)
    except MemoryError:
        raise
    except Exception as error:  # Damaged files make pyarrow raise all sorts of things.
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error


def _batches(path: Path, columns: list[str]) -> Iterator[Any]:
    with _open(path) as file:
        batches = file.iter_batches(ROWS_AT_ONCE, columns=columns)
        while True:
            # Only the reading is tried, not what the caller does with a batch.
            try:
                batch = next(batches, None)
            except MemoryError:
                raise
            except Exception as error:
                raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
            if batch is None:
                return
            yield batch
