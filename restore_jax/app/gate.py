"""Allows a browser only the addresses that the page needs, and only files of the server's own folder.

Gradio checks paths too. But it also fetches files from other servers on request, records screens, keeps a history and
more. None of that is wanted here, so only the addresses named below pass.
"""

import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

MAX_UPLOAD = 256_000_000  # bytes
MAX_KEPT = 4_000_000_000  # bytes of all uploads and results at any time
MAX_JSON = 1_000_000  # bytes; a click takes some hundred
_API = "/gradio_api"
_SHOWN = re.compile(r"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static)/.*")
_ASKED = re.compile(_API + r"/(info/?|startup-events|app_id/?|heartbeat/\w+|queue/(data|status)|upload_progress)")
_TOLD = re.compile(_API + r"/(queue/join|run/\w+|cancel|reset)/?")
_FILE = f"{_API}/file="


class Gate:
    """ASGI middleware. root: the folder with all that may be handed out. kept: says how many bytes it holds."""

    def __init__(self, app, root: pathlib.Path, kept: Callable[[], int]):
        self.app, self.root, self.kept = app, os.path.realpath(root), kept

    async def __call__(self, scope, receive, send):
        """Let a request pass, or answer it with 403, 411, 413 or 507."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None
        method, path = scope["method"], scope["path"]
        if method in ("GET", "HEAD"):
            if path.startswith(_FILE):
                allowed = self._inside(path.removeprefix(_FILE))
            else:
                allowed = _SHOWN.fullmatch(path) or _ASKED.fullmatch(path)
            return await (self.app(scope, receive, send) if allowed else _answer(send, 403))
        if method != "POST" or not (path == f"{_API}/upload" or _TOLD.fullmatch(path)):
            return await _answer(send, 403)
        length = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
        if not length.isdecimal():
            return await _answer(send, 411)
        if path == f"{_API}/upload":
            if int(length) > MAX_UPLOAD:
                return await _answer(send, 413)
            if self.kept() + int(length) > MAX_KEPT:
                return await _answer(send, 507)
            return await self.app(scope, receive, send)
        if int(length) > MAX_JSON:
            return await _answer(send, 413)
        body = await _body(receive)
        if body is None or not self._paths_inside(body):
            return await _answer(send, 403)
        return await self.app(scope, _replayed(body, receive), send)

    def _inside(self, path: str) -> bool:
        """Say whether an absolute path, with its links followed, lies in the folder."""
        return os.path.isabs(path) and os.path.realpath(path).startswith(self.root + os.sep)

    def _paths_inside(self, body: bytes) -> bool:
        """Say whether each file that JSON names lies in the folder."""
        try:
            waiting: list[Any] = [json.loads(body or b"null")]
            while waiting:
                value = waiting.pop()
                if isinstance(value, dict):
                    path = value.get("path")
                    if path is not None and not (isinstance(path, str) and self._inside(path)):
                        return False
                    waiting += value.values()
                elif isinstance(value, list):
                    waiting += value
        except (ValueError, RecursionError):
            return False
        return True


async def _answer(send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"This page does not do that.\n"})


async def _body(receive) -> bytes | None:
    """Read the whole body, None if the client is gone. It is short: the server checked its length before."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive):
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again():
        return waiting.pop() if waiting else await receive()

    return again
