"""Checks calls against the shapes that signatures say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import beartype
from jaxtyping import AbstractArray


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its arguments and result checked, where its signature says a shape; else as it is."""
    return beartype(function) if any(map(says_shape, function.__annotations__.values())) else function


def says_shape(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(map(says_shape, getattr(annotation, "__args__", ())))
