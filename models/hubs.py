"""Whether the hub of a network's weights gives them, found out within seconds."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

SECONDS = 5.0
"""To wait for an answer. Libraries wait for minutes and try again."""


SILENT = "does not answer"
NOT_ABOUT_THIS_FILE = {403, 407, 429}
"""Refusals, as by a proxy, that no other name of the file will change; from 500 on all are such."""


def refusal(url: str) -> str | None:
    """What keeps the file at `url` from being had, in words, found out within seconds.

    None where there is one, where there is none of this name, or where the hub wants to know who asks: its own library
    knows what to do then. Proxies of the environment are used.
    """
    statuses: list[int] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS) as answer:
                statuses.append(answer.status)
        except urllib.error.HTTPError as error:
            statuses.append(error.code)
        except (OSError, ValueError):
            return

    # A name's look-up has no limit of its own, and its thread must not hold up the end of the program.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if not statuses:
        return SILENT
    status = statuses[0]
    return f"answers with the status {status}" if status in NOT_ABOUT_THIS_FILE or status >= 500 else None


def no_weights(model: str, url: str, cache: str, why: str) -> str:
    """What to do where the weights of `model` are neither here nor to be had; `why` ends a sentence on the hub."""
    return (
        f"the weights of {model} are not on this machine, and {urlsplit(url).hostname} {why}. Two ways: run "
        f"once where it can be reached, which keeps them in {cache}; or give a file with weights=FILE beside the "
        "network's name (representation.frozen.weights=FILE, or pretrain.weights=FILE)."
    )
