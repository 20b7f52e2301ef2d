"""Files of a Debian package without installing it: apt fetches it, dpkg unpacks it, no root is needed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from data import network
from data.places import Unavailable

COMMAND_SECONDS = 60.0
# apt ends a stalled transfer by itself; this is for a slow one.
DOWNLOAD_SECONDS = 600.0
BASE_OPTIONS = (
    # Run by root, apt would change to a user who may not write to our folder, and warn of it.
    *("-o", "APT::Sandbox::User=root"),
    *("-o", "Acquire::Retries=0"),
    *("-o", "Acquire::http::Timeout=10"),
    *("-o", "Acquire::https::Timeout=10"),
)


class _Unreachable(Unavailable):
    """apt's hosts do not answer, or not in time, so that there is no use in another try."""


def unpack(package: str, folder: Path) -> None:
    """Fetches `package` from the machine's own apt sources and unpacks its files below `folder`.

    apt checks the package against the signed lists. Where the machine's lists are missing or out of date,
    lists are fetched into `folder`. Raises Unavailable with apt's reason.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is not on PATH")
    print(f"Fetching Debian's package {package} …", file=sys.stderr)
    try:
        _fetch(package, folder, BASE_OPTIONS)
    except _Unreachable:
        raise
    except Unavailable as first:
        try:
            _fetch(package, folder, _with_own_lists(folder))
        except Unavailable as second:
            raise Unavailable(
                f"{first}; with lists of its own: {second}. `apt-get update` (as root) renews apt's lists"
            ) from second
    archive = max(folder.glob(f"{package}_*.deb"), key=os.path.getmtime)
    _run(["dpkg-deb", "-x", archive.name, "."], folder)


def _fetch(package: str, folder: Path, options: Sequence[str]) -> None:
    command = ["apt-get", "-q", *options, "download", package]
    _probe(_run([*command, "--print-uris"], folder))
    _run(command, folder, DOWNLOAD_SECONDS)


def _with_own_lists(folder: Path) -> tuple[str, ...]:
    """Options that make apt use package lists in `folder`, freshly fetched."""
    lists, archives = folder / "apt" / "lists", folder / "apt" / "cache"
    # apt makes these itself only for root.
    (lists / "partial").mkdir(parents=True)
    (archives / "archives" / "partial").mkdir(parents=True)
    options = (*BASE_OPTIONS, "-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={archives}")
    command = ["apt-get", "-q", *options, "update"]
    _probe(_run([*command, "--print-uris"], folder))
    _run(command, folder)
    return options


def _probe(print_uris: str) -> None:
    """Raises Unavailable when none of the hosts that apt is about to use answers.

    `print_uris` is apt's list of what it would fetch. Without this, apt waits long for each host in turn.
    """
    urls = re.findall(r"^'(https?://[^']+)'", print_uris, flags=re.MULTILINE)
    # With a proxy of apt's own, the hosts need not be reachable from here.
    if urls and not re.search(r"^Acquire::https?::Proxy", _run(["apt-config", "dump"]), re.MULTILINE):
        reason = network.unreachable(urls)
        if reason:
            raise _Unreachable(reason)


def _run(command: Sequence[str], folder: Path | None = None, seconds: float | None = None) -> str:
    """What `command`, run in `folder`, wrote. Raises Unavailable if it fails or takes too long."""
    limit = COMMAND_SECONDS if seconds is None else seconds
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            # apt has children of its own: a session of its own lets all of them be stopped together. They
            # write to a file, because a pipe would stay open for as long as the last of them lives.
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"{command[0]} cannot be run ({error})") from error
        try:
            code = process.wait(limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise _Unreachable(f"{command[0]} took longer than {limit:g} s") from error
            raise
        output.seek(0)
        text = output.read()
    if code != 0:
        errors = [line for line in text.splitlines() if line.startswith("E: ")] or text.splitlines()[-1:]
        raise Unavailable(f"{command[0]} failed ({' '.join(errors) or f'exit code {code}'})")
    return text
