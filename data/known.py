"""What a person knows of some training images: their classes, or which of them belong together.

This is the one road by which labels reach training. A `Known` is made here, from a file or by a draw, and is handed to
the method beside the images. `ImageSet.labels` never are.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self, SupportsInt, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from data.image_set import DataError, ImageSet
from data.subsets import generator_for

FEWEST = 2
"""Images, or classes, of which something must be known."""


class Links(NamedTuple):
    """Pairs of training images.

    Attributes:
        first: (b,), positions in the training set.
        second: (b,), of the other image of every pair.
        must: (b,), True: both belong to one cluster; False: they belong to different ones.
    """

    first: Int64[Tensor, " b"]
    second: Int64[Tensor, " b"]
    must: Bool[Tensor, " b"]


@runtime_checkable
class Known(Protocol):
    """What is known of some training images.

    Attributes:
        images: (m,), their positions in the training set, ascending.
    """

    @property
    def images(self) -> Int64[Tensor, " m"]: ...

    def links(self, uniform: Float[Tensor, "b 2"]) -> Links:
        """Pairs of which it is known whether they belong together, each drawn by two numbers from 0 to 1."""
        ...

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        ...

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint."""
        ...

    def note(self, n: int) -> str:
        """What a table must say of a run that knows this of n training images."""
        ...


@dataclass(frozen=True)
class KnownLabels:
    """The classes of some images.

    Attributes:
        images: (m,), their positions in the training set, ascending.
        classes: (m,), int64, 0 to len(names) - 1.
        names: of the classes.
    """

    images: Int64[Tensor, " m"]
    classes: Int64[Tensor, " m"]
    names: tuple[str, ...]

    def links(self, uniform: Float[Tensor, "b 2"]) -> Links:
        """Every pair of two different images is as likely as every other."""
        count = len(self.images)
        first = _drawn(uniform[:, 0], count)
        second = (first + 1 + _drawn(uniform[:, 1], count - 1)) % count
        return Links(self.images[first], self.images[second], self.classes[first] == self.classes[second])

    def to(self, device: torch.device) -> KnownLabels:
        return replace(self, images=self.images.to(device), classes=self.classes.to(device))

    def state(self) -> dict[str, Any]:
        return {"images": self.images, "classes": self.classes, "names": list(self.names)}

    def note(self, n: int) -> str:
        return f"labels of {len(self.images):,} of {n:,} images known"


@dataclass(frozen=True)
class KnownPairs:
    """Which images belong together.

    Attributes:
        first: (p,), positions in the training set.
        second: (p,), of the other image of every pair.
        must: (p,), True: both belong to one cluster; False: they belong to different ones.
    """

    first: Int64[Tensor, " p"]
    second: Int64[Tensor, " p"]
    must: Bool[Tensor, " p"]

    @property
    def images(self) -> Int64[Tensor, " m"]:
        """(m,), all images of the pairs, ascending."""
        found: Tensor = torch.unique(torch.cat([self.first, self.second]))
        return found

    def links(self, uniform: Float[Tensor, "b 2"]) -> Links:
        """Every pair is as likely as every other."""
        chosen = _drawn(uniform[:, 0], len(self.first))
        return Links(self.first[chosen], self.second[chosen], self.must.index_select(0, chosen))

    def to(self, device: torch.device) -> KnownPairs:
        return KnownPairs(self.first.to(device), self.second.to(device), self.must.to(device))

    def state(self) -> dict[str, Any]:
        return {"images": self.images, "first": self.first, "second": self.second, "must": self.must}

    def note(self, n: int) -> str:
        must = int(self.must.sum())
        return f"links of {len(self.images):,} of {n:,} images known: {must:,} must, {len(self.must) - must:,} cannot"


def known_labels(labels: Mapping[int, Hashable], images: int, clusters: int, what: str) -> KnownLabels:
    """The labels of some images, in the form that methods take.

    Args:
        labels: of any kind, by the image's position in the training set, from 0 on.
        images: how many there are.
        clusters: k.
        what: how messages call the labels.

    Raises DataError for positions that there are not, and for fewer than two classes or more than k.
    """
    beyond = [position for position in labels if not 0 <= position < images]
    if beyond:
        raise DataError(f"{what}: there is no image {beyond[0]}; the training images are 0 to {images - 1:,}.")
    values = sorted(set(labels.values()), key=lambda value: (str(type(value)), value))
    if len(values) < FEWEST:
        found = f"only the class {values[0]!s:.40}" if values else "no label at all"
        raise DataError(f"{what}: {found}. Known labels need images of two classes at least.")
    if len(values) > clusters:
        raise DataError(
            f"{what}: {len(values)} classes, and {clusters} clusters. Every class needs a cluster of its own: "
            f"ask for {len(values)} clusters or more."
        )
    number = {value: class_ for class_, value in enumerate(values)}
    positions = sorted(labels)
    classes = torch.tensor([number[labels[position]] for position in positions])
    return KnownLabels(torch.tensor(positions), classes, tuple(map(str, values)))


def labels_by_position(known: Any, images: int) -> dict[int, Hashable]:
    """The labels of some images, as Python's users have them. None, NaN and empty strings say nothing.

    Args:
        known: {position: label}; a Series of pandas, which has such items; or a list or an array with an entry for
            every image. In all but the first -1 says nothing either, as in scikit-learn.
        images: how many there are.

    Raises DataError for anything else.
    """
    form = "Labels are {position: label}, or a list with a label or None for each image."
    if hasattr(known, "items"):
        pairs = [(_position(key, form), value) for key, value in known.items()]
    else:
        values = known.tolist() if hasattr(known, "tolist") else list(known)
        if not isinstance(values, list) or len(values) != images:
            count = len(values) if isinstance(values, list) else "one"
            raise DataError(f"known: {count} labels for {images:,} images. {form}")
        pairs = list(enumerate(values))
    if not isinstance(known, Mapping):
        pairs = [(position, value) for position, value in pairs if not _is_minus_one(value)]
    found = {position: value.item() if getattr(value, "ndim", 1) == 0 else value for position, value in pairs}
    unfit = [value for value in found.values() if not (value is None or isinstance(value, str | int | float))]
    if unfit:
        raise DataError(f"known: a label is {unfit[0]!r:.60}. Labels are strings or numbers, one an image. {form}")
    return {position: label for position, label in found.items() if label not in (None, "") and label == label}


def _is_minus_one(value: Any) -> bool:
    return getattr(value, "ndim", 0) == 0 and isinstance(value, SupportsInt) and bool(value == -1)


def _position(key: Any, form: str) -> int:
    if isinstance(key, str | bool) or not isinstance(key, SupportsInt) or int(key) != key:
        raise DataError(f"known: {key!r:.60} is no position of an image, a whole number from 0 on. {form}")
    return int(key)


def same_knowledge(state: Mapping[str, Any] | None, known: Known | None) -> bool:
    """Whether `known` is what this `state`, of a checkpoint, was asked of."""
    if state is None or known is None:
        return state is None and known is None
    here = known.state()
    return here.keys() <= state.keys() and all(
        torch.equal(value, state[key]) if isinstance(value, Tensor) else value == state[key]
        for key, value in here.items()
    )


def draw_known(images: ImageSet, share: float, seed: int, clusters: int) -> KnownLabels:
    """The labels of a random share of the images, as of a person who names some of them: for research.

    All images are alike in the draw, so a rare class may be missing. Of one seed a smaller share is a part of a larger.

    Args:
        images: with labels.
        share: above 0 and below 1, rounded to whole images.
        seed: of the draw.
        clusters: k.

    Raises DataError where the images have no labels, or so few are drawn that they are of one class.
    """
    what = f"known={share:g}"
    if images.labels is None:
        raise DataError(
            f"{what} draws from the labels of {images.name} ({images.split}), which has none. Name a file of labels "
            "in place of the share, with the columns file and label."
        )
    count = round(share * len(images))
    if count < FEWEST:
        raise DataError(f"{what} is {count} of {len(images):,} images; {FEWEST} are needed at least.")
    drawn = torch.randperm(len(images), generator=generator_for("known", seed))[:count].tolist()
    found = known_labels({i: int(images.labels[i]) for i in drawn}, len(images), clusters, what)
    return replace(found, names=tuple(images.class_names[int(name)] for name in found.names))


def known_pairs(links: Mapping[tuple[int, int], bool], what: str, called: Sequence[str]) -> KnownPairs:
    """Pairs of images, in the form that methods take.

    Args:
        links: by both positions, the lower first, whether the images belong together.
        what: how messages call the pairs.
        called: how messages call the images, by position.

    Raises DataError for no pairs, and for pairs that cannot all hold.
    """
    if not links:
        raise DataError(f"{what}: no pair at all.")
    ends = torch.tensor(list(links))
    found = KnownPairs(ends[:, 0].contiguous(), ends[:, 1].contiguous(), torch.tensor(list(links.values())))
    _check_consistent(found, what, called)
    return found


def _check_consistent(pairs: KnownPairs, what: str, called: Sequence[str]) -> None:
    """What is linked by way of others is linked: no such pair may be one that cannot be."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    images = pairs.images
    rows, columns = torch.searchsorted(images, pairs.first), torch.searchsorted(images, pairs.second)
    edges = (rows[pairs.must].numpy(), columns[pairs.must].numpy())
    graph = coo_array((torch.ones(len(edges[0])).numpy(), edges), shape=(len(images), len(images)))
    group = torch.from_numpy(connected_components(graph, directed=False)[1])
    broken = (~pairs.must & (group[rows] == group[columns])).nonzero().flatten().tolist()
    if broken:
        a, b = int(pairs.first[broken[0]]), int(pairs.second[broken[0]])
        raise DataError(
            f"{what}: {called[a]} and {called[b]} cannot be linked, but other lines link both by way of others. "
            "Take one of these lines out."
        )


def _drawn(uniform: Float[Tensor, " b"], count: int) -> Int64[Tensor, " b"]:
    """Numbers from 0 to count - 1 by ones from 0 to 1."""
    return (uniform * count).long().clamp_max(count - 1)
