"""Ctrl-C while a command still imports what it needs, which takes seconds. This file itself imports next to nothing."""

from __future__ import annotations

import signal


def quiet_imports() -> None:
    """From here on Ctrl-C ends the process at once and in silence: nothing has begun that could be lost.

    Every command calls it before its other imports, when it is started and not imported. `App` takes it back. A shell
    that has the signal ignored, as for a job in the background, keeps it so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_quiet() -> bool:
    """Ctrl-C raises KeyboardInterrupt again; whether it did not before."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        return False
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return True
