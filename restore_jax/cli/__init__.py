"""The command line, `restore-jax VERB`: each verb is a file here that parses, calls one job, and reports.

Only the chosen verb's file is imported, and what is heavy only when it runs, so that --help is quick. Exit codes: 0 ok;
2 bad input or usage, one line that names the file and the reason; 1 a failure of ours; 130 Ctrl-C; 141 where nobody
reads on, as in | head.
"""

import argparse
import importlib
import os
import sys
import warnings

from restore_jax.cli.arguments import Parser, add_verb
from restore_jax.errors import InputError
from restore_jax.version import __version__

# The verbs by what people do: {verb: its line in --help}. `restore-jax a b` is in cli/a_b.py: EXAMPLES,
# add_arguments(parser) and run(args).
GROUPS = {
    "restore photographs and videos": {
        "deblur": "make defocused photos sharper",
        "vsr": "enlarge a video with the help of a longer lens",
        "defocus": "estimate how blurred each pixel is",
        "magnify": "increase the blur of what is out of focus",
        "depth": "estimate an order of depth from blur",
        "app": "open a local web page to deblur, magnify and enlarge",
    },
    "train and measure": {
        "train": "train a network; python -m restore_jax.train does the same",
        "evaluate": "measure methods on data whose truth is known",
        "tables": "fill in the dissertation's tables",
    },
    "data": {
        "data": "list, check and build datasets",
    },
    "tools": {
        "weights": "list, show, check and convert weights",
        "export": "write a network as a program that runs without this package",
        "bench": "measure speed and memory on this machine",
        "bench train": "measure images a second, waiting for data, and memory of the training loop",
        "bench render": "measure images a minute of SYNDOF's renderer, beside a loop in NumPy and SciPy",
        "bench defocus": "measure DMENet and deconvolution by a map, and the parts of their time",
        "bench vsr": "measure seconds a frame and memory of reference-based video super-resolution",
        "doctor": "say what this machine has, and check the weights",
        "demo": "defocus a photograph of measured depth, restore it, and compare with the truth",
    },
}
VERBS = {verb: line for group in GROUPS.values() for verb, line in group.items()}
SHELLS = ("bash", "zsh", "fish")


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    # JAX warns about a damaged or unwritable cache, which only means that it compiles again.
    warnings.filterwarnings("ignore", message=".*persistent compilation cache")
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        return args.run(args)
    except InputError as error:
        print(f"restore-jax: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("restore-jax: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output has gone, as | head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except SystemExit as leaving:  # argparse: --help, --version or a usage error, said already
        return leaving.code if isinstance(leaving.code, int) else 1
    except Exception as error:
        if (line := _file_trouble(error)) and not os.environ.get("RESTORE_JAX_DEBUG"):
            print(f"restore-jax: {line}", file=sys.stderr)
            return 2
        if os.environ.get("RESTORE_JAX_DEBUG"):
            raise
        reason = (str(error).strip() or "no details").splitlines()[0]
        hint = "RESTORE_JAX_DEBUG=1 shows where"
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in reason or "Out of memory" in reason:
            hint = "out of memory: try --tile 512, or --dtype bfloat16 on a GPU"
        print(f"restore-jax: failed: {type(error).__name__}: {reason} ({hint})", file=sys.stderr)
        return 1


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse a command line: `run(args)` does what it says, `words` are those after the verb.

    What a verb does not know goes to `overrides` of the verbs that have them, and is refused elsewhere.
    """
    argv = list(argv)
    if " ".join(argv[:2]) in VERBS:
        argv[:2] = [" ".join(argv[:2])]
    args, rest = parser(argv[0] if argv else "").parse_known_args(argv)
    args.words = argv[0].split()[1:] + argv[1:]
    if "overrides" in args:
        args.overrides = rest
    elif rest:
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


def parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """Make the parser of all verbs, of which only `chosen` knows its arguments.

    With None every verb of one word knows them, as completion needs it.
    """
    listing = "\n\n".join(
        f"{title}:\n" + "\n".join(f"  {verb:14} {line}" for verb, line in group.items())
        for title, group in GROUPS.items()
    )
    top = Parser(
        prog="restore-jax",
        usage="restore-jax [-h] [--version] [--completion SHELL] VERB ...",
        description=f"Restores defocused photographs and enlarges videos.\n\n{listing}",
        epilog="example: restore-jax deblur photo.jpg    (restore-jax VERB --help says more)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"restore-jax {__version__}")
    help = f"print what lets a shell complete command lines: {', '.join(SHELLS)}"
    top.add_argument("--completion", action=_Completion, choices=SHELLS, metavar="SHELL", help=help)
    hidden = None if chosen is None else argparse.SUPPRESS  # the groups above list the verbs
    verbs = top.add_subparsers(metavar="VERB", required=True, help=hidden, prog=top.prog, parser_class=Parser)
    for verb, line in VERBS.items():
        if chosen is None and " " in verb:
            continue
        if chosen not in (None, verb):
            add_verb(verbs, verb, line)
            continue
        module = importlib.import_module(f"{__name__}.{verb.replace(' ', '_')}")
        add_verb(verbs, verb, line, module.add_arguments, module.EXAMPLES, module.run)
    return top


class _Completion(argparse.Action):
    """Prints the script for a shell and leaves."""

    def __call__(self, top, namespace, shell, option_string=None):
        import shtab  # only here

        whole = parser()
        _complete_files(whole)
        print(shtab.complete(whole, shell))
        top.exit()


def _complete_files(whole: argparse.ArgumentParser) -> None:
    """Complete every argument that takes any text by the names of files."""
    import shtab

    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_files(sub)
        elif action.nargs != 0 and action.choices is None and action.type is None:
            action.complete = shtab.FILE


def _file_trouble(error: Exception) -> str | None:
    """Return what is wrong with a name a person gave, where the file system found it first."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}"
    text = str(error)
    return text if isinstance(error, RuntimeError) and text.startswith("Symlink loop") else None
