"""Scores, tables and figures, from predictions alone."""

from contextlib import suppress

from system.cache import prepare_matplotlib

with suppress(OSError):  # then matplotlib says what it lacks
    prepare_matplotlib()
