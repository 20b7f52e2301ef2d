"""The images of a split as a run's settings have them: duplicates, held-out share and subset included."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from configs.schema import DataSettings
from data.image_set import DataError, ImageSet
from data.reading import Reading
from data.sources import load, names
from data.subsets import draw, drop_duplicates, hold_out
from data.unequal_classes import first_classes, thinned, with_class_sizes
from system.cache import keeps_images

SPLITS = ("train", "validation", "test", "all")


def splits_to_score(asked: str | None, fitted: str) -> tuple[str, ...]:
    """The splits that are scored, a row each.

    Args:
        asked: one of `SPLITS`, or None for the images that the method was fitted to. "all" are the training and the
            test images, each for themselves; where the method was fitted to both as one set, that set.
        fitted: the split that the method was fitted to.

    Raises DataError for a split that there is not.
    """
    if asked is not None and asked not in SPLITS:
        raise DataError(f"there is no split {asked!r}. Splits are {', '.join(SPLITS)}.")
    if asked == "all" and fitted != "all":
        return ("train", "test")
    return (asked or fitted,)


def reading_of(settings: DataSettings) -> Reading:
    """How the run's settings have pictures read."""
    size = (settings.size, settings.size) if isinstance(settings.size, int) else settings.size
    return Reading(
        size=size,
        fit=settings.fit,
        background=settings.background,
        unreadable=settings.unreadable,
        labels=settings.labels,
        cache=keeps_images(),
        kind=settings.kind,
    )


def prepare(
    settings: DataSettings,
    split: str,
    seed: int,
    data_root: Path | None = None,
    place: str | None = None,
    reading: Reading | None = None,
) -> ImageSet:
    """The images of `split`, one of `SPLITS`; the result's `split` has the same name.

    In this order: duplicates are dropped from any split; in the one that the method is fitted on, `settings.split`,
    classes get their unequal sizes, the validation share is taken away, and of what is left the subset is drawn.
    "validation" is the share that was taken away, or without one the data set's own. Other splits are whole, also those
    that hold the fitted images or are a part of them; under `class_sizes` they have the same classes.

    Args:
        settings: the run's section `data`.
        split: which images.
        seed: the run's.
        data_root: a folder to search first for a named data set.
        place: where a relative path led when the run began; taken where it leads nowhere now.
        reading: how pictures are read; by default as the settings have it.

    Raises DataError where the images cannot be loaded, or are too few for the share or the subset.
    """
    if split not in SPLITS:
        raise DataError(f"there is no split {split!r}. Splits are {', '.join(SPLITS)}.")
    own = split == "validation" and not settings.validation
    if own and settings.name in names():
        raise DataError(
            f"{settings.name} has no validation split, because the run held no images out. "
            "Train with data.validation=0.2, or score train or test."
        )
    fitted = split == settings.split or (split == "validation" and not own)
    found = found_at(settings.name, place)
    images = load(found, settings.split if fitted else split, data_root, reading or reading_of(settings))
    if found != settings.name:
        images = replace(images, name=settings.name)
    if settings.duplicates == "drop":
        images = drop_duplicates(images)
    if not fitted:
        return images if settings.class_sizes is None else first_classes(images, len(settings.class_sizes))
    if settings.class_sizes is not None:
        images = with_class_sizes(images, settings.class_sizes, settings.sizes_seed)
    if settings.long_tail is not None:
        images = thinned(images, settings.long_tail, settings.sizes_seed)
    if settings.validation:
        images, validation = hold_out(images, settings.validation, seed)
        if split == "validation":
            return validation
    if settings.subset is not None:
        images = draw(images, settings.subset, settings.draw, seed)
    return images


def all_names(settings: DataSettings, data_root: Path | None = None) -> Iterable[str]:
    """The names of all images of the data set, fitted or held out; none where they have no names.

    Args:
        settings: the run's section `data`.
        data_root: a folder to search first for a named data set.
    """
    try:
        return load(settings.name, "all", data_root, reading_of(settings)).names or ()
    except DataError:  # its other splits are not to be had: then nobody is told of them
        return ()


def found_at(name: str, place: str | None) -> str:
    """`name`, or where it is a relative path that leads nowhere from here, the `place` where it once led."""
    if place is None or name in names() or os.path.exists(os.path.expanduser(name)) or not os.path.exists(place):
        return name
    return place


def place_of(name: str) -> str | None:
    """Where the path `name` leads, from any folder; None where it is the name of a data set."""
    return None if name in names() else os.path.abspath(os.path.expanduser(name))


def protocol_notes(settings: DataSettings) -> tuple[str, ...]:
    """What a table must say of these settings: short phrases, none where everything is fitted as it is."""
    notes = []
    if settings.duplicates == "drop":
        notes.append("duplicates dropped")
    seed = f"seed {settings.sizes_seed}"
    if settings.class_sizes is not None:
        sizes = ", ".join(f"{size:,}" for size in settings.class_sizes)
        notes.append(f"of the first classes {sizes} images drawn by class, {seed} (uses labels)")
    if settings.long_tail is not None:
        notes.append(f"classes thinned to 1/{settings.long_tail:g} from first to last, {seed} (uses labels)")
    if settings.validation:
        notes.append(f"{100 * settings.validation:g} % held out for validation")
    if settings.subset is not None:
        how = {"random": "at random", "stratified": "by class (uses labels, as report)"}[settings.draw]
        notes.append(f"fitted on {settings.subset:,} drawn {how}")
    return tuple(notes)
