"""From a method's answer to a page that opens from a disk: `index.html`, what it shows in `data.js`, small pictures.

All images stand in one order: cluster by cluster, the typical ones first. So a cluster's images lie on few sheets.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from evaluation.predictions import EvaluationError, Predictions, members
from report.answers import NOISE, Answers
from report.figures.latent_map import map_places
from report.figures.style import PALETTE
from report.gallery.sheets import write_sheets
from report.look_alikes import distinct, look_alikes
from report.originals import Originals
from report.outliers import outliers
from report.selection import centroid_distances, lowest
from report.sorting import check_empty
from system.names import printable

PAGE = Path(__file__).parent / "page"
SHOWN = 24
"""Images of a kind in a cluster: typical, borderline, surprising."""
BUILT = ("index.html", "gallery.css", "gallery.js", "data.js", "sheets")


@dataclass(frozen=True)
class Arrangement:
    """The images in the page's order.

    Attributes:
        order: (n,), the positions of the images, cluster by cluster, the most typical first.
        rank: (n,), the place of every image in that order.
    """

    order: Int64[Tensor, " n"]
    rank: Int64[Tensor, " n"]

    def places(self, positions: Tensor | Sequence[int]) -> list[int]:
        """Where images stand in the page's order."""
        places: list[int] = self.rank[torch.as_tensor(positions, dtype=torch.int64)].tolist()
        return places


def build_gallery(
    folder: Path, predictions: Predictions, found: Answers, names: Mapping[int, str], title: str, about: str
) -> Path:
    """Make the page in `folder`, which an older page's files leave.

    Args:
        folder: new, empty, or an older gallery.
        predictions: of a method, for the images that are shown.
        found: the same, image by image.
        names: what a person calls the clusters.
        title: of the page.
        about: one line under the title.

    Returns:
        The page.

    Raises:
        EvaluationError: the folder holds something else, or cannot be written, or there are no pictures.
    """
    if predictions.images.are_points:
        raise EvaluationError("--gallery shows pictures, and the data are points. The table has their clusters.")
    if not (folder / "data.js").is_file():
        check_empty(folder)
    distance = centroid_distances(predictions)
    arranged = arrange(found, distance)
    try:
        for name in BUILT:
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink(missing_ok=True)
        (folder / "sheets").mkdir(parents=True)
        cell = write_sheets(predictions.images.images, arranged.order, folder / "sheets")
        content: dict[str, Any] = {
            "title": title,
            "about": about,
            "id": identity(found),
            "names": {str(cluster): name for cluster, name in names.items()},
            "cell": cell._asdict(),
            "colours": list(PALETTE),
            "clusters": clusters_of(predictions, found, arranged, distance),
            **per_image(predictions, found, arranged, folder),
            "look_alikes": [arranged.places(group) for group in look_alikes(predictions.images.images)],
            "outliers": arranged.places(outliers(predictions.embedding.float())),
            "map": map_of(predictions, arranged),
        }
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        (folder / "data.js").write_text(f"window.GALLERY = {text};\n")
        for file in PAGE.iterdir():
            shutil.copyfile(file, folder / file.name)
    except OSError as error:
        raise EvaluationError(f"no gallery: cannot write into {folder}: {error.strerror or error}.") from error
    return folder / "index.html"


def arrange(found: Answers, distance: Float[Tensor, " n"]) -> Arrangement:
    """Cluster by cluster, noise last; in a cluster by the distance to its centre."""
    by_distance = distance.argsort(stable=True)
    last = int(found.cluster.max()) + 1
    cluster = found.cluster[by_distance]
    order = by_distance[cluster.where(cluster != NOISE, last).argsort(stable=True)]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return Arrangement(order, rank)


def clusters_of(
    predictions: Predictions, found: Answers, arranged: Arrangement, distance: Float[Tensor, " n"]
) -> list[dict[str, Any]]:
    """Of every cluster with images its number, place in the order, size, and images of each kind."""
    images, cluster = predictions.images.images, found.cluster
    clusters = []
    for number in torch.unique(cluster[arranged.order]).tolist():
        own = members(cluster, number)
        start = int(arranged.rank[own].min())
        kinds: dict[str, list[int]] = {"typical": [], "borderline": [], "surprising": []}
        if number != NOISE:
            nearest = own[distance[own].argsort(stable=True)]
            kinds["typical"] = arranged.places(distinct(images, nearest, SHOWN))
            kinds["surprising"] = arranged.places(nearest.flip(0)[:SHOWN])
            if found.margin is not None:
                kinds["borderline"] = arranged.places(lowest(found.margin, cluster, number, SHOWN))
        clusters.append({"id": number, "start": start, "size": len(own), **kinds})
    return sorted(clusters, key=lambda one: one["start"])


def per_image(
    predictions: Predictions, found: Answers, arranged: Arrangement, folder: Path
) -> dict[str, list[Any] | str | None]:
    """What is said of every image, in the page's order."""
    order = arranged.order.tolist()
    originals = Originals(predictions.images)
    links = [originals.path(position) is not None for position in order]
    return {
        "files": [printable(found.files[position]) for position in order],
        "probability": _values(found.probability, order),
        "margin": _values(found.margin, order),
        "distance": _values(found.distance, order),
        "second": _clusters(found.second, order),
        "root": None if originals.folder is None else _link(originals.folder, folder),
        "originals": [
            quote(os.fsencode(found.files[position])) if there else None
            for position, there in zip(order, links, strict=True)
        ]
        if any(links)
        else None,
    }


def map_of(predictions: Predictions, arranged: Arrangement) -> dict[str, list[Any]] | None:
    """Images on a plane, both coordinates from 0 to 1; None where there are too few."""
    placed = map_places(predictions)
    if placed is None:
        return None
    chosen, places = placed
    low, high = places.min(axis=0), places.max(axis=0)
    unit = (places - low) / (high - low).clip(min=1e-12)
    x, y = ([round(value, 4) for value in column.tolist()] for column in unit.T)
    return {"index": arranged.places(chosen), "x": x, "y": y}


def identity(found: Answers) -> str:
    """A short hash of files and clusters: names that a browser keeps belong to one answer."""
    digest = hashlib.sha256("\n".join(printable(file) for file in found.files).encode())
    digest.update(found.cluster.numpy().tobytes())
    return digest.hexdigest()[:12]


def _values(values: Float[Tensor, " n"] | None, order: list[int]) -> list[float | None] | None:
    if values is None:
        return None
    return [float(f"{value:.4g}") if value == value else None for value in values[order].tolist()]


def _clusters(values: Int64[Tensor, " n"] | None, order: list[int]) -> list[int | None] | None:
    return None if values is None else [value if value != NOISE else None for value in values[order].tolist()]


def _link(originals: Path, folder: Path) -> str:
    """From the page to the originals' folder: relative where both lie on one disk, so that both may move together."""
    try:
        relative = os.path.relpath(originals, folder.absolute())
    except ValueError:  # on another drive of Windows
        return originals.as_uri() + "/"
    return quote(os.fsencode(relative.replace(os.sep, "/"))) + "/"
