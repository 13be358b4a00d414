"""Downloads over HTTP that go on where they broke off, and never leave half a file under its name."""

import http.client
import json
import os
import pathlib
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.version import __version__

STALL = 30.0  # seconds without a byte after which a connection is given up
ATTEMPTS = 5  # connections to one file, each of which must bring something
LARGEST = 8 * 2**30  # bytes; no published checkpoint is larger
_PIECE = 2**18  # bytes read at once

Progress = Callable[[int, int | None], None]  # bytes so far, and of all, None if the server does not say


class _Interrupted(Exception):
    """A connection ended before the file did."""


def download(url: str, path, progress: Progress = lambda done, total: None) -> None:
    """Download a file, going on where an earlier download of the same address to the same path broke off.

    What has come so far lies in PATH.part; PATH.part.json beside it says what file it is of. Redirects are followed,
    but never from https to plain http.

    Raises InputError, naming the address, if it cannot be reached, is not there, is a web page or breaks off for good.
    """
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise InputError(f"{url}: {scheme or 'no'} scheme; http and https are downloaded from")
    part = pathlib.Path(f"{path}.part")
    for attempt in range(ATTEMPTS):
        before = _size(part)
        try:
            with atomic.writing(part):
                _receive(url, part, progress)
                os.replace(part, path)
            _about(part).unlink(missing_ok=True)
            return
        except _Interrupted as error:
            if attempt + 1 == ATTEMPTS or _size(part) <= before:
                got = f" after {_size(part):,} bytes; the same command goes on from there" if _size(part) else ""
                raise InputError(f"{url}: {error}{got}") from error


def _receive(url: str, part: pathlib.Path, progress: Progress) -> None:
    """Append to `part` what is missing of it. Raises _Interrupted or InputError."""
    known = _known(url, part)
    start = _size(part) if known else 0
    headers = {"User-Agent": f"restore-jax/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if known.get("validator"):
            headers["If-Range"] = known["validator"]
    with _opened(url, part, urllib.request.Request(url, headers=headers)) as response:
        if response.headers.get_content_type() == "text/html":
            raise InputError(f"{url}: sends a web page, no file; download it by a browser, then give --from FILE")
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdecimal() else None
        if response.status == http.HTTPStatus.PARTIAL_CONTENT and start:
            total = _continued(response.headers.get("Content-Range", ""), start, known.get("total"))
            if total is None:
                part.unlink()
                raise _Interrupted("offers another file than before")
        else:
            start = 0
        if total is not None and total > LARGEST:
            raise InputError(f"{url}: {total:,} bytes are more than any published weights have")
        validator = response.headers.get("ETag", "")
        validator = response.headers.get("Last-Modified", "") if validator.startswith("W/") else validator
        about = {"url": url, "total": total, "validator": validator or response.headers.get("Last-Modified", "")}
        if not start:
            part.unlink(missing_ok=True)
        atomic.write(_about(part), json.dumps(about).encode())
        with open(part, "ab") as file:
            for piece in _pieces(response):
                file.write(piece)
                start += len(piece)
                progress(start, total)
                if start > (LARGEST if total is None else total):
                    raise InputError(f"{url}: sends more than the {total or LARGEST:,} bytes that it may")
    if total is not None and start < total:
        raise _Interrupted(f"broke off, {total:,} bytes were announced")


def _opened(url: str, part: pathlib.Path, request: urllib.request.Request):
    try:
        return urllib.request.build_opener(_Redirects).open(request, timeout=STALL)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.exists():
                part.unlink()
                raise _Interrupted("does not go on from where it broke off") from error
            raise InputError(f"{url}: HTTP {error.code} {' '.join(str(error.reason).split())}") from error
    except urllib.error.URLError as error:
        reason = error.reason.strerror if isinstance(error.reason, OSError) else error.reason
        raise _Interrupted(f"cannot be reached ({reason or error.reason})") from error
    except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _Interrupted(f"does not answer ({' '.join(str(error).split()) or type(error).__name__})") from error


def _pieces(response):
    """Yield what a response holds, piece by piece. Raises _Interrupted."""
    while True:
        try:
            piece = response.read1(_PIECE)
        except TimeoutError as error:
            raise _Interrupted(f"stalled: not a byte came in {STALL:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise _Interrupted(f"broke off ({type(error).__name__})") from error
        if not piece:
            return
        yield piece


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, but not from encrypted to plain."""

    def redirect_request(self, request, file, code, message, headers, address):
        """Return the request to send instead. Raises InputError for an address that is not to be followed."""
        before, after = urllib.parse.urlsplit(request.full_url).scheme, urllib.parse.urlsplit(address).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            file.close()
            raise InputError(f"{request.full_url}: sends on to {address}, which is not encrypted or no web address")
        return super().redirect_request(request, file, code, message, headers, address)


def _known(url: str, part: pathlib.Path) -> dict:
    """Read what was noted about an unfinished download, {} if it cannot be continued."""
    try:
        known = json.loads(_about(part).read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and known.get("url") == url and known.get("total") else {}


def _continued(content_range: str, start: int, total) -> int | None:
    """Return the bytes of the whole file, if a Content-Range continues from `start` in one of `total`; else None."""
    return total if content_range == f"bytes {start}-{total - 1}/{total}" else None


def _about(part: pathlib.Path) -> pathlib.Path:
    return part.with_name(f"{part.name}.json")


def _size(part: pathlib.Path) -> int:
    return part.stat().st_size if part.exists() else 0
