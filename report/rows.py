"""What a row of results holds and how its values are named and shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = float | int | str | None
Row = Mapping[str, Value]

MISSING = "–"
BETWEEN_NOTES = "; "
"""Between the notes of one row."""
MIXED = "mixed"
"""The protocol of a row that scores images of which some were fitted to."""
SD = "_sd"
"""Behind a key: the standard deviation over seeds, where the row is a mean."""


@dataclass(frozen=True)
class Column:
    """One value of a row as a table shows it.

    Attributes:
        key: in the row.
        heading: over the column, plain text.
        better: "up" or "down" for metrics, "" where neither is better.
        decimals: of a float.
    """

    key: str
    heading: str
    better: str = ""
    decimals: int = 3

    def show(self, row: Row) -> str:
        """The row's value as text; `MISSING` where it has none."""
        found = value(row, self.key)
        if found is None:
            return MISSING
        if not isinstance(found, float):
            return str(found)
        spread = value(row, self.key + SD)
        shown = "" if spread is None else f" ± {spread:.{self.decimals}f}"
        # A score just below 0 is shown as 0.000, without a sign.
        return f"{round(found, self.decimals) + 0.0:.{self.decimals}f}{shown}"

    def is_number(self, rows: Sequence[Row]) -> bool:
        """Whether the column is to be aligned to the right."""
        return not any(isinstance(value(row, self.key), str) for row in rows)


SCORES = (
    Column("acc", "ACC", "up"),
    Column("nmi", "NMI", "up"),
    Column("ari", "ARI", "up"),
    Column("ami", "AMI", "up"),
    Column("purity", "Purity", "up"),
    Column("silhouette", "Silhouette", "up"),
)
BALANCED = Column("balanced_acc", "Balanced\nACC", "up")
"""The mean over classes. Tables show it where it can be far from ACC: see `has_unequal_classes`."""
UNEQUAL = 1.5
"""From this ratio of the largest class to the smallest on, classes are of unequal size."""
PRETRAINED = (
    Column("silhouette_pretrained", "Silhouette\npretrained", "up"),
    Column("davies_bouldin_pretrained", "Davies-Bouldin\npretrained", "down"),
    Column("calinski_harabasz_pretrained", "Calinski-Harabasz\npretrained", "up", decimals=1),
)
"""In the space before an encoder was trained for its clusters."""
DENDROGRAM = Column("dendrogram_purity", "Dendrogram\npurity", "up")
"""Of a tree of clusters, where there is one."""
CRITERIA = (
    Column("inertia", "Inertia", decimals=0),
    Column("log_likelihood", "Log-likelihood\nof an image"),
    Column("bic", "BIC", decimals=0),
    Column("quantisation_error", "Quantisation\nerror"),
    Column("topographic_error", "Topographic\nerror"),
)
"""The methods' own criteria, which compare with nothing but themselves."""
MACHINE = (Column("threads", "Threads"), Column("device", "Device"))
COST = (
    Column("seconds", "Seconds", "down", decimals=1),
    *MACHINE,
    Column("peak_memory_mb", "Peak MiB", "down", decimals=0),
)
NOTES = Column("notes", "Notes")

MAIN = (
    Column("title", "Method"),
    Column("data", "Data"),
    Column("split", "Split"),
    Column("protocol", "Protocol"),
    Column("seed", "Seed"),
    Column("k", "k", decimals=0),
    Column("k_used", "k used", decimals=0),
    *SCORES,
    Column("silhouette_space", "Space"),
    *COST,
    Column("images_per_second", "Images/s", "up", decimals=0),
    NOTES,
)
"""For documents, with the criteria that any row has."""


def value(row: Row, key: str) -> Value:
    """The row's value, or None where it has none or where it is NaN or infinite."""
    found = row.get(key)
    return None if isinstance(found, float) and not math.isfinite(found) else found


def has_unequal_classes(row: Row) -> bool:
    """Whether the row's images are of classes of unequal size, and have a balanced accuracy."""
    smallest, largest = value(row, "class_min"), value(row, "class_max")
    if not isinstance(smallest, int | float) or not isinstance(largest, int | float):
        return False
    return value(row, BALANCED.key) is not None and largest >= UNEQUAL * smallest


def all_keys(rows: Sequence[Row]) -> list[str]:
    """The keys of all rows, every phase's `seconds_<phase>` directly behind `seconds`."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    phases = [key for key in keys if key.startswith("seconds_")]
    ordered = [key for key in keys if key not in phases]
    behind = ordered.index("seconds") + 1 if "seconds" in ordered else len(ordered)
    return [*ordered[:behind], *phases, *ordered[behind:]]
