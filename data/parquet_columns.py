"""Which columns of a .parquet file are the images and the labels.

Images are the column `image`, or else the one column that can be images: bytes of image files (binary, or a struct with
a field `bytes`), or else lists of numbers. Labels are the column `label`, or one of another usual name, or else the
only one whose classes are named in Hugging Face's metadata.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data.csv_layout import LABELS
from data.image_set import DataError

FORM = (
    "A .parquet file holds a column `image`, the bytes of image files as binary or as struct<bytes, path>, or lists of "
    "numbers; and if wanted a column `label`."
)
IMAGES = ("image", "images", "img", "imgs", "picture", "pictures", "pixel_values", "pixels", "x", "data")


@dataclass(frozen=True)
class Columns:
    """The columns' names, how images are kept, the classes that the metadata name, and what is not read."""

    image: str
    kind: Literal["bytes", "numbers"]
    label: str | None
    class_names: tuple[str, ...]
    others: tuple[str, ...]


def can_hold_images(schema: Any) -> bool:
    """Whether any column of the pyarrow schema can be images."""
    return any(_kind(field.type) for field in schema)


def columns_of(schema: Any, path: Path, labelled: bool = True) -> Columns:
    """What the columns are; with `labelled` False none is the label.

    Raises DataError where there is no column of images, or where several may be it.
    """
    for name in ("image", "label"):
        if schema.names.count(name) > 1:
            raise DataError(f"{path} has {schema.names.count(name)} columns named `{name}`; one is allowed. {FORM}")
    kinds = {field.name: kind for field in schema if (kind := _kind(field.type))}
    image = _image(kinds, schema, path)
    features = _features(schema.metadata or {})
    label = (
        None
        if not labelled
        else _label([name for name in schema.names if name != image and kinds.get(name) != "bytes"], features, path)
    )
    names = features.get(label, ()) if label is not None else ()
    others = tuple(name for name in schema.names if name not in (image, label))
    return Columns(image, kinds[image], label, names, others)


def _image(kinds: dict[str, Literal["bytes", "numbers"]], schema: Any, path: Path) -> str:
    if not kinds:
        if "image" in schema.names:
            raise DataError(f"{path}: `image` is {schema.field('image').type}. {FORM}")
        raise DataError(
            f"{path} has no column `image`, and none that can be images; it has: "
            f"{', '.join(f'{field.name} ({field.type})' for field in schema) or 'nothing'}. {FORM}"
        )
    called = [name for known in IMAGES for name in kinds if name.lower() == known]
    if called:
        return called[0]
    # Lists beside encoded images are features of these.
    best = "bytes" if "bytes" in kinds.values() else "numbers"
    candidates = [name for name, kind in kinds.items() if kind == best]
    if len(candidates) > 1:
        raise DataError(
            f"{path} has no column `image`, and several that can be images: {', '.join(candidates)}. "
            f"Rename one of them to `image`. {FORM}"
        )
    return candidates[0]


def _label(names: list[str], features: dict[str, tuple[str, ...]], path: Path) -> str | None:
    if "label" in names:
        return "label"
    called = [name for name in names if name.lower() in LABELS]
    if len(called) > 1:
        raise DataError(
            f"{path} has the columns {', '.join(f'`{name}`' for name in called)}, and one can be the label. "
            "Rename that one to `label`, or read without labels: data.labels=none."
        )
    named = [name for name in names if name in features]
    return called[0] if called else named[0] if len(named) == 1 else None


def _kind(kind: Any) -> Literal["bytes", "numbers"] | None:
    import pyarrow as pa
    from pyarrow import types

    if isinstance(kind, pa.BaseExtensionType):
        return _kind(kind.storage_type)
    if types.is_struct(kind):
        field = kind.get_field_index("bytes")
        return "bytes" if field >= 0 and _kind(kind.field(field).type) == "bytes" else None
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return "bytes"
    depth = 0
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    numbers = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return "numbers" if depth and numbers else None


def _features(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """The names of the classes of every column that Hugging Face's metadata name them for."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        found = {str(name): feature["names"] for name, feature in features.items() if "names" in feature}
        return {name: tuple(str(value) for value in names) for name, names in found.items()}
    except (KeyError, TypeError, ValueError, AttributeError):  # Other programs may keep other things there.
        return {}
