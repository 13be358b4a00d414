"""A server of files on this machine, for tests of downloads: it keeps what it was asked and misbehaves on demand."""

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves bytes by path, with Range and ETag.

    Attributes:
      files: {path: bytes}.
      requests: (path, headers) of every request so far.
      cut: {path: number of bytes after which the connection ends}, a number for each of the next requests.
      stall: like `cut`, but the connection then stays open and silent.
      answers: {path: (status, headers, body)} sent in place of a file.
      ranges: whether Range is understood. tags: whether an ETag is sent. lengths: whether a length is sent.
    """

    def __init__(self, url: str):
        self.url, self.files, self.requests, self.answers = url, {}, [], {}
        self.cut, self.stall = {}, {}
        self.ranges = self.tags = self.lengths = True
        self.over = threading.Event()

    def __truediv__(self, path: str) -> str:
        return f"{self.url}/{path}"

    def starts(self) -> list[str | None]:
        """The Range headers of all requests."""
        return [headers.get("Range") for _, headers in self.requests]


@contextlib.contextmanager
def serving() -> Iterator[FileServer]:
    """A FileServer on a free port of the loopback device."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.lstrip("/")
            server.requests.append((path, dict(self.headers)))
            if path in server.answers:
                status, headers, body = server.answers[path]
                self._begin(status, {"Content-Length": str(len(body)), **headers})
                self.wfile.write(body)
                return
            if path not in server.files:
                self.send_error(404)
                return
            self._file(path, server.files[path])

        def _file(self, path, data):
            tag, start, status, headers = f'"{hashlib.sha256(data).hexdigest()}"', 0, 200, {}
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if asked and server.ranges and self.headers.get("If-Range", tag) == tag:
                start, status = int(asked[1]), 206
                if start >= len(data):
                    self.send_error(416)
                    return
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            if server.tags:
                headers["ETag"] = tag
            if server.lengths:
                headers["Content-Length"] = str(len(data) - start)
            self._begin(status, headers)
            for kind in (server.cut, server.stall):
                if kind.get(path):
                    self.wfile.write(data[start : start + kind[path].pop(0)])
                    self.wfile.flush()
                    if kind is server.stall:
                        server.over.wait()
                    return
            self.wfile.write(data[start:])

        def _begin(self, status, headers):
            self.close_connection = True
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        server = FileServer(f"http://127.0.0.1:{listener.server_port}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            listener.shutdown()
            thread.join()
