"""Runs the server, from the command line's options to its end."""

import dataclasses
import ipaddress
import os
import pathlib
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from restore_jax.app import examples, gate, jobs, page
from restore_jax.app.sessions import Sessions
from restore_jax.errors import InputError

SWEEP = 60  # seconds between two looks for abandoned files


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the server. port 0 is any free one. queue: jobs that may wait. weights: see `page.build`."""

    host: str
    port: int
    queue: int
    open: bool
    limits: jobs.Limits
    weights: Mapping[str, Any]


def serve(options: Options) -> None:
    """Serve the page until SIGTERM or Ctrl-C, then remove all files. Raises InputError if it cannot start."""
    port = _free_port(options.host, options.port)
    stop = threading.Event()
    # SIGTERM ends the same way as Ctrl-C: what was uploaded must not stay.
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    root = pathlib.Path(tempfile.mkdtemp(prefix="restore-jax-app-")).resolve()
    try:
        _run(options, port, root, stop)
    except KeyboardInterrupt:
        pass
    finally:
        shutil.rmtree(root, ignore_errors=True)
        signal.signal(signal.SIGTERM, previous)


def _run(options: Options, port: int, root: pathlib.Path, stop: threading.Event) -> None:
    _prepare_gradio(root)
    import gradio as gr
    from starlette.middleware import Middleware

    sessions = Sessions(root)
    demo = page.build(sessions, options.limits, options.weights, examples.write(sessions.examples))
    demo.queue(max_size=options.queue, api_open=False)
    demo.launch(
        server_name=options.host,
        server_port=port,
        inbrowser=options.open,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        show_error=False,
        max_file_size=gate.MAX_UPLOAD,
        allowed_paths=[],
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        pwa=False,
        mcp_server=False,
        ssr_mode=False,
        strict_cors=True,
        theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css=page.CSS,
        app_kwargs={"middleware": [Middleware(gate.Gate, root=root, kept=sessions.size)]},
    )
    try:
        print(f"http://{options.host}:{port}    Ctrl-C stops it", flush=True)
        if not _is_loopback(options.host):
            print("Whoever reaches this machine can use it: there is no password.", flush=True)
        while not stop.wait(SWEEP):
            sessions.sweep()
    finally:
        sessions.close()
        demo.close(verbose=False)


def _prepare_gradio(root: pathlib.Path) -> None:
    """Set what Gradio reads from the environment when it is imported: files only in `root`, nothing sent out."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ.update(
        GRADIO_TEMP_DIR=str(root),
        GRADIO_EXAMPLES_CACHE=str(root / "examples"),
        GRADIO_ANALYTICS_ENABLED="False",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_OFFLINE="1",
    )


def _free_port(host: str, port: int) -> int:
    try:
        family = socket.getaddrinfo(host, port)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return probe.getsockname()[1]
    except socket.gaierror as error:
        raise InputError(f"--host {host}: {error.strerror}") from None
    except OSError as error:
        raise InputError(f"--port {port}: cannot listen on {host}: {error.strerror}; 0 takes any free port") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
