"""Whether the hub of a network's weights can be reached, found out within seconds."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

SECONDS = 5.0
"""To wait for an answer. Libraries wait for minutes and try again."""


def reachable(url: str) -> bool:
    """Whether anything answers at `url`, be it a refusal. Proxies of the environment are used."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS):
                answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError):
            return

    # A name's look-up has no limit of its own, and its thread must not hold up the end of the program.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return answered.is_set()


def no_weights(model: str, url: str, cache: str) -> str:
    """What to do where the weights of `model` are neither here nor to be had."""
    return (
        f"the weights of {model} are not on this machine, and {urlsplit(url).hostname} does not answer. Two ways: run "
        f"once where it can be reached, which keeps them in {cache}; or give a file with weights=FILE beside the "
        "network's name (representation.frozen.weights=FILE, or pretrain.weights=FILE)."
    )
