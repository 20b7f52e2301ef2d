"""Tables and figures, from scores and predictions alone; TensorBoard; comparisons of many runs."""

from contextlib import suppress

from system.cache import prepare_matplotlib

with suppress(OSError):  # then matplotlib says what it lacks
    prepare_matplotlib()
