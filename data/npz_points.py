"""Points from an .npz file: which of its arrays are features, labels and names, by what they are called.

features, labels, names, class_names             one split
train_features, train_labels, test_features, …   several; also features_train and the like
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data.image_set import DataError
from data.label_values import values_of
from data.npz_layouts import CLASS_NAMES, IMAGES, LABELS, Shape
from data.points import FEATURES, FORM, NAMES, Array, Points, as_points, names_of
from data.reading import Reading
from data.split_names import SPLITS, WORDS, split_of, words


@dataclass
class PointRoles:
    """The names of the arrays of every split, and of the class names; and what is neither."""

    features: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    class_names: str | None = None
    others: list[str] = field(default_factory=list)


def point_roles(arrays: Mapping[str, Shape], path: Path, reading: Reading) -> PointRoles | None:
    """What the arrays are for, where they are points; None where they are images.

    Args:
        arrays: by name.
        path: of the archive, for messages.
        reading: how the user wants it read. Kind points: what is called images is points, too.

    Raises DataError where two arrays have one role.
    """
    known = FEATURES | IMAGES if reading.kind == "points" else FEATURES
    roles = PointRoles()
    for name in arrays:
        said = [word for word in words(name) if word not in WORDS]
        if said and reading.kind != "points" and all(word in IMAGES for word in said):
            return None  # beside images, features are not read
        if " ".join(said) in CLASS_NAMES:
            roles.class_names = name
            continue
        tables = ((known, roles.features), (LABELS, roles.labels), (NAMES, roles.names))
        table = next((table for called, table in tables if said and all(word in called for word in said)), None)
        split = split_of(name) or SPLITS[0]
        if table is None:
            roles.others.append(name)
        elif split in table:
            raise DataError(f"{path} has both `{table[split]}` and `{name}` for the {split} split. Keep one. {FORM}")
        else:
            table[split] = name
    return roles if roles.features else None


def points_in(
    roles: PointRoles, path: Path, read: Callable[[str], Array], reading: Reading
) -> tuple[dict[str, Points], tuple[str, ...]]:
    """Every split, and the names of the classes.

    Args:
        roles: of the arrays.
        path: of the archive.
        read: an array by its name.
        reading: with labels or without.

    Raises DataError for what is no table of numbers.
    """
    labelled = reading.labels != "none"
    notes = tuple(f"`{name}` was not read" for name in roles.others)
    found = {}
    for split, name in roles.features.items():
        where = f"{path}: `{name}`"
        values = as_points(read(name), where)
        rows = read(roles.names[split]) if split in roles.names else None
        label = roles.labels.get(split) if labelled else None
        found[split] = Points(
            names_of(rows, path.name if len(roles.features) == 1 else f"{path.name}/{name}", len(values), where),
            where,
            values,
            None if label is None else values_of(read(label), f"{path}: `{label}`"),
            notes,
        )
    classes = read(roles.class_names) if labelled and roles.class_names is not None else ()
    return found, tuple(str(name) for name in classes)
