"""Looking for a data set in one place after another, and saying clearly where it was not."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from data.files import reason
from data.image_set import DataError, ImageSet

DATA_VARIABLE = "DEEP_CLUSTERING_DATA"
OPTION = "--data-root"

NAMING = f"{DATA_VARIABLE}=FOLDER in the environment, or {OPTION} FOLDER behind a command"
"""How a person names the folder that holds the data."""

# A place's name for people, and the function that reads the images there or raises DataError.
Attempt = tuple[str, Callable[[], ImageSet]]

logger = logging.getLogger(__name__)


class Unavailable(DataError):
    """A place has nothing to offer: no such folder, no network. Other DataErrors mean damaged files."""


def search(name: str, attempts: Iterable[Attempt], remedies: Sequence[str]) -> ImageSet:
    """The result of the first attempt that succeeds; later ones are not made.

    Damaged files met on the way are reported as warnings. Raises one DataError that names every place with
    its reason, and the remedies.
    """
    tried: list[str] = []
    damaged: list[str] = []
    for place, attempt in attempts:
        try:
            found = attempt()
        except Unavailable as error:
            tried.append(f"{place}: {error}")
        except OSError as error:
            tried.append(f"{place}: it cannot be read ({reason(error)})")
        except DataError as error:
            tried.append(f"{place}: {error}")
            damaged.append(str(error))
        else:
            for problem in damaged:
                logger.warning("%s: %s Passed over for %s.", name, problem, found.origin)
            return found
    lines = [f"{name} was not found. Places tried:", *(f"  - {line}" for line in tried)]
    lines += ["Any one of these mends it:", *(f"  - {line}" for line in remedies)]
    raise DataError("\n".join(lines))


def user_places(
    read: Callable[[Path], ImageSet], data_root: Path | None, subfolders: Sequence[str]
) -> Iterator[Attempt]:
    """Attempts to `read` the folders that the user named: `data_root`, then $DEEP_CLUSTERING_DATA.

    Each is tried itself and then with every one of `subfolders` below it.
    """
    variable = os.environ.get(DATA_VARIABLE)
    named = {} if data_root is None else {OPTION: data_root}
    if variable:
        named[f"${DATA_VARIABLE}"] = Path(os.path.expanduser(variable))
    for name, root in named.items():
        for folder in (root, *(root / subfolder for subfolder in subfolders)):
            yield f"{name} {folder}", partial(read, folder)
    if not variable:
        yield f"${DATA_VARIABLE}", _not_set


def _not_set() -> ImageSet:
    raise Unavailable("not set")
