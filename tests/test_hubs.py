"""What a hub of weights answers, found out within seconds."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from models import hubs


class Refuses(BaseHTTPRequestHandler):
    """With the status that is asked for."""

    def do_HEAD(self) -> None:
        self.send_error(int(self.path[1:]))

    def log_message(self, *args: Any) -> None:
        return


def test_a_refusal_is_an_answer_and_silence_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        said = {404: None, 401: None, 403: "answers with the status 403", 503: "answers with the status 503"}
        for status, why in said.items():
            threading.Thread(target=server.handle_request, daemon=True).start()
            assert hubs.refusal(f"http://127.0.0.1:{server.server_port}/{status}") == why
    monkeypatch.setattr(hubs, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        assert hubs.refusal(f"http://127.0.0.1:{silent.getsockname()[1]}/") == hubs.SILENT
        assert time.monotonic() - begin < 5
