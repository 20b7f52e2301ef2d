"""The formats of tables by their names, for commands that offer them before anything is imported."""

from __future__ import annotations

FORMATS = ("table", "markdown", "csv", "json", "latex")
