"""restore-jax app serves a local web page."""

import importlib.util

from restore_jax.errors import InputError, install_line

TASKS = {"deblur": "deblur", "map": "defocus", "video": ""}  # {task of the page: the verb whose weights it takes}
EXAMPLES = """restore-jax app        then open http://127.0.0.1:7860
         restore-jax app --port 0 --open
         restore-jax app --weights deblur=ifan.safetensors --weights video=bicubic

Only this machine reaches the page unless --host says otherwise: there is no password. One job runs at a time, others
wait. An upload may have 256 MB, and all files of all open pages 4 GB. They lie in a temporary folder and are removed
when their page is closed or the server stops. A photograph takes 1 GB of memory, 0.1 GB more for each megapixel, and
on one CPU core about 10 s a megapixel. A clip takes as much as restore-jax vsr."""


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    help = "address to listen on, 0.0.0.0 for all of this machine's (default: 127.0.0.1)"
    parser.add_argument("--host", default="127.0.0.1", help=help)
    parser.add_argument("--port", type=int, default=7860, help="port to listen on, 0 for a free one (default: 7860)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    help = "refuse photographs, and enlarged frames, of more than M megapixels (default: 34)"
    parser.add_argument("--max-megapixels", type=float, default=34.0, metavar="M", help=help)
    help = "refuse clips longer than S seconds (default: 20)"
    parser.add_argument("--max-seconds", type=float, default=20.0, metavar="S", help=help)
    help = "stop a job after M minutes of computing (default: 15)"
    parser.add_argument("--max-minutes", type=float, default=15.0, metavar="M", help=help)
    parser.add_argument("--queue", type=int, default=16, metavar="N", help="jobs that may wait (default: 16)")
    help = "weights for a task, which is deblur, map or video; may be repeated (default: the best that ship)"
    parser.add_argument("--weights", action="append", default=[], metavar="TASK=NAME|FILE", help=help)


def run(args) -> int:
    """Serve the page until it is stopped."""
    for name in ("max_megapixels", "max_seconds", "max_minutes", "queue"):
        value = getattr(args, name)
        if not value > 0:
            raise InputError(f"--{name.replace('_', '-')} {value:g}: must be above 0")
    if not 0 <= args.port < 65536:
        raise InputError(f"--port {args.port}: is not between 0 and 65535")
    weights = _weights(args.weights)
    if importlib.util.find_spec("gradio") is None:
        raise InputError(f"app: Gradio is not installed: {install_line('app')}")

    from restore_jax.app import jobs, server

    limits = jobs.Limits(args.max_megapixels, args.max_seconds, args.max_minutes)
    server.serve(server.Options(args.host, args.port, args.queue, args.open, limits, weights))
    return 0


def _weights(given: list[str]) -> dict:
    """Read weights by task, so that bad ones are refused now and not when a job needs them."""
    from restore_jax import restore, weights
    from restore_jax.video import engines

    chosen = {"deblur": "ifan", "map": "dmenet", "video": None}
    for text in given:
        task, equals, name = text.partition("=")
        if not equals or task not in TASKS:
            raise InputError(f"--weights {text}: is not TASK=NAME or TASK=FILE; tasks are {', '.join(TASKS)}")
        if (task, name) != ("video", "bicubic"):
            loaded = weights.load(name, TASKS[task])
            if task == "video":
                engines.engine(loaded)
            elif restore.needs_views(loaded.model):
                raise InputError(f"{name}: weights for dual-pixel photos, the page takes single ones")
        chosen[task] = name
    return chosen
