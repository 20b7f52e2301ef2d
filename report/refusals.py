"""What this project refuses, as a ValueError: scikit-learn's users catch these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.fit import REFUSED
from evaluation.predictions import EvaluationError


@contextmanager
def refused_as_value_error() -> Iterator[None]:
    """Within it the message stays, and the type of the error is ValueError."""
    try:
        yield
    except (*REFUSED, EvaluationError) as error:
        raise ValueError(str(error)) from error
