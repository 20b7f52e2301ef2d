"""What code computes: the sources that a module imports, and the versions of the packages that these use."""

from __future__ import annotations

import ast
import functools
import hashlib
import platform
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def source_hashes(*modules: str) -> dict[str, str]:
    """SHA-256 (hex) of the source of every module of this project among `modules`, and of all that they import.

    An import counts wherever it stands, in a function too. What only other files import does not: a new method's file
    changes nothing for those that were there before.
    """
    found: dict[str, str] = {}
    waiting = [module for module in modules if _file(module) is not None]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = _read(module).digest
            waiting += [name for name in _read(module).imports if _file(name) is not None]
    return dict(sorted(found.items()))


def versions(modules: Iterable[str]) -> dict[str, str]:
    """The versions of Python and of every package that `modules` of this project import, or that these need."""
    packages = _packages()
    tops = {name.partition(".")[0] for module in modules for name in _read(module).imports}
    found: dict[str, str] = {}
    waiting = [package for top in tops for package in packages.get(top, ())]
    while waiting:
        package = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if package not in found:
            found[package], needed = _installed(package)
            waiting += needed
    return {"python": platform.python_version(), **dict(sorted(found.items()))}


class _Source:
    """A module's file, read once.

    Attributes:
        digest: SHA-256 (hex) of its bytes.
        imports: dotted names of all that may be modules in its imports.
    """

    def __init__(self, module: str) -> None:
        file = _file(module)
        text = file.read_bytes() if file is not None else b""
        self.digest = hashlib.sha256(text).hexdigest()
        self.imports: set[str] = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                self.imports |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        self.imports |= {parent for name in self.imports for parent in _parents(name)}


@functools.cache
def _read(module: str) -> _Source:
    return _Source(module)


def _parents(name: str) -> list[str]:
    """The packages that importing a dotted name runs first."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


@functools.cache
def _file(module: str) -> Path | None:
    """The source of one of this project's modules; None for others."""
    place = ROOT.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@functools.cache
def _packages() -> dict[str, list[str]]:
    """The installed packages that bring each top-level module."""
    names = {name: list(found) for name, found in metadata.packages_distributions().items()}
    return {name: found for name, found in names.items() if name not in sys.stdlib_module_names}


@functools.cache
def _installed(package: str) -> tuple[str, list[str]]:
    """A package's version, and the packages that it needs here; optional ones are left out."""
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return "not installed", []
    needed = [line for line in found.requires or () if "extra ==" not in line]
    return found.version, [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in needed]
