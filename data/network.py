"""Downloads that give up within seconds when the network or the mirror is not there."""

from __future__ import annotations

import contextlib
import queue
import socket
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from data.places import Unavailable

PROBE_SECONDS = 5.0
SOCKET_SECONDS = 10.0
DEFAULT_PORTS = {"http": 80, "https": 443}


@contextlib.contextmanager
def downloading(urls: Sequence[str]) -> Iterator[None]:
    """For a library's download from any of `urls`: probed first, bounded in time, nothing on stdout.

    Raises Unavailable when no host answers or when the download fails.
    """
    if reason := unreachable(urls):
        raise Unavailable(reason)
    hosts = sorted({urlsplit(url).hostname or url for url in urls})
    print(f"Downloading from {' or '.join(hosts)} …", file=sys.stderr)
    before = socket.getdefaulttimeout()
    # Libraries open their connections without a limit of their own, so the default is all that binds them.
    socket.setdefaulttimeout(SOCKET_SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (OSError, RuntimeError, HTTPException, EOFError, zlib.error, tarfile.TarError) as error:
        raise Unavailable(f"the download failed ({str(error).strip() or type(error).__name__})") from error
    finally:
        socket.setdefaulttimeout(before)


def unreachable(urls: Sequence[str], seconds: float = PROBE_SECONDS) -> str | None:
    """Why no host of `urls` accepts a connection within `seconds` in all, or None as soon as one does."""
    reasons = {_endpoint(url): f"no answer within {seconds:g} s" for url in urls}
    answers: queue.Queue[tuple[tuple[str, int], str | None]] = queue.Queue()

    def probe(endpoint: tuple[str, int]) -> None:
        try:
            socket.create_connection(endpoint, timeout=seconds).close()
        except OSError as error:
            answers.put((endpoint, error.strerror or str(error)))
        else:
            answers.put((endpoint, None))

    for endpoint in reasons:
        # A daemon, because a name server that does not answer can hold the look-up for minutes.
        threading.Thread(target=probe, args=(endpoint,), daemon=True).start()
    deadline = time.monotonic() + seconds
    for _ in range(len(reasons)):
        try:
            endpoint, reason = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if reason is None:
            return None
        reasons[endpoint] = reason
    return "cannot reach " + ", ".join(f"{host} ({reason})" for (host, _), reason in reasons.items())


def _endpoint(url: str) -> tuple[str, int]:
    """Host and port that a request for `url` connects to: the proxy's where one is set."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 80)
