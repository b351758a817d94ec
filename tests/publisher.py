"""A publisher's web server on the loopback, which can fail in the ways that real ones do."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Publisher(ThreadingHTTPServer):
    """Serves bytes by path, with ranges and ETags.

    Attributes:
        files: content by path.
        failures: by path, how the next requests fail, one each: ``404``, ``503``, ``cut`` in the middle, ``cut to
            nothing``, ``stall`` in the middle, ``web page``, ``mute`` (never answers), ``shifted`` (another range than
            asked for).
        ranges: whether it can send a part.
        versioned: whether it names the version of what it sends.
        weak: whether the version stands for the meaning and not for the bytes.
        asked: each request's path and Range header, None without.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.failures: dict[str, list[str]] = {}
        self.ranges = self.versioned = True
        self.weak = False
        self.asked: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Publisher

    def log_message(self, format: str, *args: object) -> None:
        """Tests need no log."""

    def do_GET(self) -> None:
        path, asked = self.path.lstrip("/"), self.headers.get("Range")
        self.server.asked.append((path, asked))
        failures = self.server.failures.get(path, [])
        failure = failures.pop(0) if failures else ""
        if failure == "mute":
            time.sleep(1)
            return
        if failure in ("404", "503") or path not in self.server.files:
            self.send_error(int(failure or 404))
            return
        content = self.server.files[path]
        if failure == "web page":
            self.respond(200, b"<html>Too many users have downloaded this file</html>", {"Content-Type": "text/html"})
            return
        etag = f'{"W/" * self.server.weak}"{hashlib.md5(content).hexdigest()}"'
        version = {"ETag": etag} if self.server.versioned else {}
        start = 0
        if asked and self.server.ranges and self.headers.get("If-Range") == version.get("ETag"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.send_error(416)
            return
        if start:
            named = start + 1 if failure == "shifted" else start
            version["Content-Range"] = f"bytes {named}-{len(content) - 1}/{len(content)}"
        self.respond(206 if start else 200, content[start:], version, failure)

    def respond(self, status: int, body: bytes, headers: dict[str, str], failure: str = "") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        sent = {"cut": len(body) // 2, "stall": len(body) // 2, "cut to nothing": 0}.get(failure, len(body))
        self.wfile.write(body[:sent])
        if failure == "stall":
            self.wfile.flush()
            time.sleep(1)


@contextmanager
def publishing() -> Iterator[Publisher]:
    """A server that answers as long as the block runs."""
    with Publisher() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
