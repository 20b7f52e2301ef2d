"""Checks calls against the shapes that signatures say, of every function the first ones: all would take too long."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from beartype import beartype
from jaxtyping import AbstractArray

CHECKED = 50
"""Calls of a function that are checked."""


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its arguments and result checked; for jaxtyping's import hook."""
    says_shapes = any(map(says_shape, function.__annotations__.values()))
    check = beartype(function) if says_shapes else function
    left = CHECKED if says_shapes else 1

    @wraps(function)
    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            stop_checking(function.__module__, function.__qualname__)
        return check(*arguments, **named)

    return counted


def says_shape(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(map(says_shape, getattr(annotation, "__args__", ())))


def stop_checking(module: str, name: str) -> None:
    """jaxtyping heeds the attribute at every call. A function within a function is not found, and checked on."""
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = inspect.getattr_static(found, part, None)
    found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
    while found is not None:
        found.__no_type_check__ = True
        found = getattr(found, "__wrapped__", None)
