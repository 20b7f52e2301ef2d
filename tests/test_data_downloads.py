"""Probing hosts, bounded downloads, and apt, which here is a shell script that behaves like it."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from data import cache, debian, network
from data.places import Unavailable


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def answer(monkeypatch: pytest.MonkeyPatch, hosts: dict[str, object]) -> list[tuple[str, int]]:
    """Lets only `hosts` be connected to, and returns the list of the connections tried."""
    tried: list[tuple[str, int]] = []

    class Connection:
        def close(self) -> None:
            pass

    def connect(address: tuple[str, int], timeout: float) -> Connection:
        tried.append(address)
        result = hosts.get(address[0], OSError(-2, "Name or service not known"))
        if isinstance(result, OSError):
            raise result
        if isinstance(result, threading.Event):
            result.wait()
        return Connection()

    monkeypatch.setattr(socket, "create_connection", connect)
    return tried


def test_one_host_that_answers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = answer(monkeypatch, {"up.test": "ok"})
    assert network.unreachable(["https://down.test/a", "https://up.test/b"]) is None
    assert ("up.test", 443) in tried


def test_ports_come_from_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = answer(monkeypatch, {})
    network.unreachable(["http://a.test/", "https://b.test/", "http://c.test:81/"])
    assert sorted(tried) == [("a.test", 80), ("b.test", 443), ("c.test", 81)]


def test_every_host_that_fails_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, {"shut.test": OSError(111, "Connection refused")})
    reason = network.unreachable(["http://none.test/", "http://shut.test/"])
    assert reason == "cannot reach none.test (Name or service not known), shut.test (Connection refused)"


def test_a_look_up_that_hangs_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    forever = threading.Event()
    answer(monkeypatch, {"slow.test": forever})
    assert network.unreachable(["http://slow.test/"], seconds=0.05) == (
        "cannot reach slow.test (no answer within 0.05 s)"
    )
    forever.set()


def test_behind_a_proxy_the_proxy_must_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    tried = answer(monkeypatch, {"proxy.test": "ok"})
    assert network.unreachable(["https://far.test/"]) is None
    assert tried == [("proxy.test", 3128)]


def test_downloading_is_bounded_and_keeps_stdout_clean(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network, "unreachable", lambda urls: None)
    before = socket.getdefaulttimeout()
    with network.downloading(["http://mirror.test/x"]):
        print("progress")
        assert socket.getdefaulttimeout() == network.SOCKET_SECONDS
    assert socket.getdefaulttimeout() == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "mirror.test" in captured.err
    assert "progress" in captured.err


@pytest.mark.parametrize("error", [RuntimeError("no mirror"), TimeoutError("timed out"), EOFError()])
def test_a_failed_download_is_unavailable(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(network, "unreachable", lambda urls: None)
    before = socket.getdefaulttimeout()
    with pytest.raises(Unavailable, match="the download failed"), network.downloading(["http://mirror.test/"]):
        raise error
    assert socket.getdefaulttimeout() == before


APT_GET = """#!/bin/sh
# An apt-get that has lists only where $LISTED says so: "always" or "own" (after an update of its own).
echo "apt-get $*" >> "$LOG"
own=no
for word in "$@"; do case "$word" in Dir::State::lists=*) own=yes; lists="${word#*=}";; esac; done
case "$*" in
  *update*--print-uris*) echo "'http://mirror.test/InRelease' InRelease 0"; exit 0;;
  *update*) [ -d "$lists/partial" ] || { echo "E: List directory $lists/partial is missing."; exit 100; }
            touch "$lists/fresh"; exit 0;;
esac
if [ "$LISTED" = own ] && { [ $own = no ] || [ ! -e "$lists/fresh" ]; }; then
  echo "E: Unable to locate package tiny"; exit 100
fi
if [ "$LISTED" = never ]; then echo "E: Unable to locate package tiny"; exit 100; fi
case "$*" in *--print-uris*) echo "'http://mirror.test/tiny_1_all.deb' tiny_1_all.deb 4 SHA256:00"; exit 0;; esac
if [ "$LISTED" = stall ]; then sleep 1000 & echo $! > "$LOG.child"; wait; fi
echo tiny > tiny_1_all.deb
"""
DPKG_DEB = """#!/bin/sh
[ "$1" = -x ] && [ "$(cat "$2")" = tiny ] && mkdir -p "$3/usr/share" && echo unpacked > "$3/usr/share/file"
"""
APT_CONFIG = """#!/bin/sh
echo 'APT::Architecture "amd64";'
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with an apt of our own. Returns the log of its calls."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB), ("apt-config", APT_CONFIG)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("LISTED", "always")
    monkeypatch.setattr(network, "unreachable", lambda urls: None)
    (tmp_path / "into").mkdir()
    return tmp_path / "log"


def test_apt_fetches_and_dpkg_unpacks(tmp_path: Path, apt: Path) -> None:
    debian.unpack("tiny", tmp_path / "into")
    assert (tmp_path / "into" / "usr" / "share" / "file").read_text() == "unpacked\n"
    assert "update" not in apt.read_text()


def test_without_lists_apt_is_given_lists_of_its_own(
    tmp_path: Path, apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTED", "own")
    debian.unpack("tiny", tmp_path / "into")
    assert (tmp_path / "into" / "usr" / "share" / "file").exists()
    assert f"Dir::State::lists={tmp_path}/into/apt/lists" in apt.read_text()


def test_a_package_that_apt_does_not_know(tmp_path: Path, apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTED", "never")
    with pytest.raises(Unavailable, match="Unable to locate package tiny.*apt-get update"):
        debian.unpack("tiny", tmp_path / "into")


def test_when_apts_hosts_do_not_answer_it_is_not_started(
    tmp_path: Path, apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed: list[str] = []

    def unreachable(urls: list[str]) -> str:
        probed.extend(urls)
        return "cannot reach mirror.test (no answer)"

    monkeypatch.setattr(network, "unreachable", unreachable)
    with pytest.raises(Unavailable, match="cannot reach mirror.test"):
        debian.unpack("tiny", tmp_path / "into")
    assert probed == ["http://mirror.test/tiny_1_all.deb"]
    assert len(apt.read_text().splitlines()) == 1  # --print-uris only


def test_with_a_proxy_of_apts_own_hosts_are_not_probed(
    tmp_path: Path, apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "apt-config").write_text("#!/bin/sh\necho 'Acquire::http::Proxy \"http://p.test:1\";'\n")
    monkeypatch.setattr(network, "unreachable", lambda urls: "no direct way")
    debian.unpack("tiny", tmp_path / "into")
    assert (tmp_path / "into" / "usr" / "share" / "file").exists()


def test_an_apt_that_stalls_is_stopped_with_its_children(
    tmp_path: Path, apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTED", "stall")
    monkeypatch.setattr(debian, "COMMAND_SECONDS", 0.5)
    monkeypatch.setattr(debian, "DOWNLOAD_SECONDS", 0.5)
    with pytest.raises(Unavailable, match="apt-get took longer than 0.5 s"):
        debian.unpack("tiny", tmp_path / "into")
    child = int((tmp_path / "log.child").read_text())
    for _ in range(250):
        if is_gone(child):
            return
        time.sleep(0.02)
    pytest.fail("the child lives on")


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{process}/stat")  # Killed, but not yet reaped by whoever adopted it?
    return state.exists() and ") Z " in state.read_text()


@pytest.mark.parametrize("missing", ["apt-get", "dpkg-deb"])
def test_a_machine_without_the_tools(tmp_path: Path, apt: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    (tmp_path / "bin" / missing).unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(Unavailable, match=f"{missing} is not on PATH"):
        debian.unpack("tiny", tmp_path / "into")


def test_installing_renames_so_that_no_half_written_file_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "source" / "sub" / "x"
    file.parent.mkdir(parents=True)
    file.write_text("new")
    (tmp_path / "target" / "sub").mkdir(parents=True)
    (tmp_path / "target" / "sub" / "x").write_text("old")
    identity = file.stat().st_ino
    cache.install([file], source=tmp_path / "source", target=tmp_path / "target")
    assert (tmp_path / "target" / "sub" / "x").read_text() == "new"
    assert (tmp_path / "target" / "sub" / "x").stat().st_ino == identity
    assert not file.exists()


def test_the_cache_is_in_the_projects_folder_unless_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEP_CLUSTERING_CACHE", raising=False)
    assert cache.folder("x") == Path(__file__).resolve().parent.parent / ".cache" / "data" / "x"
    monkeypatch.setenv("DEEP_CLUSTERING_CACHE", str(tmp_path))
    assert cache.folder("x") == tmp_path / "data" / "x"
