"""restore-jax VERB: parse, call, report. No arithmetic here; verbs import what is heavy, so that --help is quick.

Exit codes: 0 ok; 2 bad input or usage, one line that names the file and the reason; 1 a failure of ours; 130 Ctrl-C;
141 where nobody reads on, as in | head.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import time
import warnings

from restore_jax.cache import enable_compilation_cache
from restore_jax.cli import app as cli_app
from restore_jax.cli import data as cli_data
from restore_jax.cli import defocus as cli_defocus
from restore_jax.cli import evaluate as cli_evaluate
from restore_jax.cli import export as cli_release
from restore_jax.cli import tables as cli_tables
from restore_jax.cli import vsr as cli_vsr
from restore_jax.cli.arguments import Parser
from restore_jax.errors import InputError
from restore_jax.version import __version__

OURS = ("_deblurred", "_compare")  # what deblur appends to names; a folder's files that end so are not taken as input


# -------------------------------------------------------------------------------------------------------------- deblur
def targets(photos: list[pathlib.Path], out: str | None, compare: bool, several: bool) -> list[tuple]:
    """(photo, output, comparison or None) for each photo. Raises InputError where a file would be lost."""
    from restore_jax.io.photos import FORMATS

    folder = out is not None and (several or out.endswith(("/", os.sep)) or pathlib.Path(out).is_dir())
    if several and folder and not pathlib.Path(out).is_dir() and pathlib.Path(out).suffix.lower() in FORMATS:
        raise InputError(f"{out}: one file, but several photos: give a folder")
    jobs, taken = [], {}
    originals = {photo.resolve() for photo in photos}
    for photo in photos:
        if out is None or folder:
            parent = pathlib.Path(out) if folder else photo.parent
            output, stem = parent / f"{photo.stem}{OURS[0]}{photo.suffix}", photo.stem
        else:
            output = pathlib.Path(out)
            stem = output.stem
            if not output.suffix:
                raise InputError(f"{out}: needs an ending such as {photo.suffix}, or / at the end for a folder")
        comparison = output.with_name(f"{stem}{OURS[1]}{output.suffix}") if compare else None
        for path in filter(None, (output, comparison)):
            if path.resolve() in originals:
                raise InputError(f"{path}: is an input and would be overwritten; choose another -o")
            if path.resolve() in taken:
                raise InputError(f"{path}: both {taken[path.resolve()]} and {photo} would be written there")
            taken[path.resolve()] = photo
        jobs.append((photo, output, comparison))
    return jobs


def chosen(arguments: list[str]) -> tuple[list[pathlib.Path], int]:
    """The photos the arguments stand for, without what deblur itself wrote beside them, and how many those were."""
    from restore_jax import io

    named = {pathlib.Path(argument).resolve() for argument in arguments}
    found = io.find_photos(arguments)

    def ours(path):
        original = path.with_name(path.stem.removesuffix(OURS[0]).removesuffix(OURS[1]) + path.suffix)
        return path.stem.endswith(OURS) and (path.resolve() not in named or original in found)

    photos = [path for path in found if not ours(path)]
    if not photos:
        raise InputError(f"{arguments[0]}: holds no photos besides earlier results")
    return photos, len(found) - len(photos)


def deblur(args) -> int:
    """restore-jax deblur."""
    from restore_jax import io
    from restore_jax.report import Report

    if (args.left is None) != (args.right is None):
        raise InputError("--left and --right: dual-pixel views come in pairs, give both")
    photos, skipped = chosen(args.photo)
    several = len(photos) > 1 or pathlib.Path(args.photo[0]).is_dir()
    if several and args.left is not None:
        raise InputError("--left and --right: belong to one photo, give just one")
    if args.map is not None and (several or args.method != "deconv"):
        raise InputError(f"{args.map}: --map belongs to one photo and --method deconv")
    jobs, failures = [], []
    for job in targets(photos, args.out, args.compare, several):
        try:
            for path in filter(None, job[1:]):
                io.check_writable(path)
            jobs.append(job)
        except InputError as error:
            failures.append(str(error))
    if not jobs:
        raise InputError(failures[0])

    report = Report(len(jobs), args.quiet)
    if skipped:
        report.done(f"skipping {skipped} earlier results (*{OURS[0]}, *{OURS[1]})")
    try:
        loaded = None if args.method == "deconv" else loaded_for(args, report)
        for photo, output, comparison in jobs:
            report.photo(photo.name)
            try:
                deblur_one(args, report, loaded, photo, output, comparison)
            except InputError as error:
                failures.append(str(error))
    finally:
        report.clear()
    for failure in failures:
        print(f"restore-jax: {failure}", file=sys.stderr)
    if failures and len(photos) > 1:
        report.done(f"{len(photos) - len(failures)} of {len(photos)} photos restored")
    return 2 if failures else 0


def loaded_for(args, report):
    """The weights, of the kind that fits the views given."""
    report.status(f"loading weights {args.weights}")
    from restore_jax import restore, weights

    restore.plan(restore.MIN_SIDE, restore.MIN_SIDE, args.tile)  # refuses an unusable --tile
    enable_compilation_cache()
    loaded = weights.load(args.weights, "deblur")
    dual = restore.needs_views(loaded.model)
    if args.left and not dual:
        raise InputError(f"{args.weights}: weights for single photos, they cannot use --left and --right")
    if dual and not args.left:
        raise InputError(f"{args.weights}: weights for dual-pixel photos, they need --left and --right")
    return loaded


def deblur_one(args, report, loaded, photo, output, comparison):
    """Restores one photo and writes it, and its comparison if that is a path."""
    from restore_jax import defocus, io, restore

    began = time.monotonic()
    picture = io.read_photo(photo)
    if loaded is None:
        result = defocus.deconvolved(photo, picture.pixels, args.map, args.data_weight, report)
    else:
        views = {name: io.read_photo(getattr(args, name)).pixels for name in ("left", "right") if getattr(args, name)}
        options = {"views": views, "tile": args.tile, "dtype": args.dtype, "progress": report.progress}
        try:
            result = restore.restore(loaded.model, loaded.params, picture.pixels, **options)
        except InputError as error:
            raise InputError(f"{photo}: {error}") from None
    report.status("writing")
    io.write_photo(output, result, like=picture)
    height, width = result.shape[:2]
    report.done(f"{output}  {width}x{height}, {time.monotonic() - began:.1f} s")
    if comparison is not None:
        from restore_jax.plots.panels import side_by_side

        alpha = None if picture.alpha is None else side_by_side(picture.alpha, picture.alpha)
        pair = side_by_side(picture.pixels, result)
        io.write_photo(comparison, pair, like=dataclasses.replace(picture, alpha=alpha))
        report.done(f"{comparison}")


# ---------------------------------------------------------------------------------------------------------- other verbs
def weights_list(args) -> int:
    """restore-jax weights list."""
    from restore_jax import weights
    from restore_jax.report import columns

    head = ("name", "model", "size", "gain", "licence")
    rows = [head, *(tuple(str(card.get(name, "-")) for name in head) for card in weights.list_shipped())]
    print("\n".join(columns(rows)))
    return 0


def weights_card(args) -> int:
    """restore-jax weights card."""
    import json

    from restore_jax import weights

    print(json.dumps(weights.card(args.name), indent=2, ensure_ascii=False))
    return 0


def weights_verify(args) -> int:
    """restore-jax weights verify."""
    from restore_jax import weights

    for name in [args.name] if args.name else [card["name"] for card in weights.list_shipped()]:
        print(f"{name}: ok, sha256 {weights.verify(name)}")
    return 0


def weights_convert(args) -> int:
    """restore-jax weights convert."""
    from restore_jax import weights
    from restore_jax.report import say

    ema = {"ema": True} if args.ema else {}
    for note in weights.convert_files(args.model, args.file, args.out, **ema, **dict(args.option)) or ():
        say(note)
    print(args.out)
    return 0


def demo(args) -> int:
    """restore-jax demo."""
    from restore_jax import demo

    demo.run(args.out, weights=args.weights)
    return 0


def train(args) -> int:
    """restore-jax train: the arguments go on to the loop's own parser."""
    from restore_jax.train import loop

    return loop.main(args.rest) or 0


def bench(args) -> int:
    """restore-jax bench: the arguments go on to the benchmarks' own parsers."""
    from restore_jax.bench import networks

    return networks.main(args.rest) or 0


# -------------------------------------------------------------------------------------------------------------- parsing
def tile_size(text: str):
    """--tile: auto or a number."""
    if text == "auto":
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not auto or a number of pixels")
    return int(text)


def option(text: str):
    """KEY=VALUE, the value a number or True/False where it reads as one."""
    import ast

    key, equals, value = text.partition("=")
    if not (equals and key.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def parser() -> argparse.ArgumentParser:
    """All verbs."""
    top = Parser(
        prog="restore-jax",
        description="Restores defocused photographs and enlarges videos.",
        epilog="example: restore-jax deblur photo.jpg    (restore-jax VERB --help says more)",
    )
    top.add_argument("--version", action="version", version=f"restore-jax {__version__}")
    verbs = top.add_subparsers(metavar="VERB", required=True)

    def verb(parent, name, run, text, example):
        sub = parent.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    sub = verb(verbs, "deblur", deblur, "make defocused photos sharper", DEBLUR_EXAMPLES)
    sub.add_argument("photo", nargs="+", metavar="PHOTO", help="files, folders or glob patterns")
    sub.add_argument("-o", "--out", help="output file; a folder for several photos (default: beside the photo)")
    sub.add_argument("--weights", default="ifan", metavar="NAME|FILE", help="see weights list (default: ifan)")
    sub.add_argument("--left", metavar="L", help="left dual-pixel view, for weights made for them")
    sub.add_argument("--right", metavar="R", help="right dual-pixel view")
    sub.add_argument("--method", choices=("network", "deconv"), default="network", help="deconv: by a defocus map")
    sub.add_argument("--map", metavar="MAP", help="of restore-jax defocus, for deconv; else it is estimated")
    sub.add_argument("--data-weight", type=float, default=420.0, metavar="L", help="of deconv: more is sharper (420)")
    sub.add_argument("--compare", action="store_true", help="write NAME_compare.EXT too: photo and result in a row")
    sub.add_argument("--tile", type=tile_size, default="auto", metavar="auto|N", help="side computed at once, pixels")
    sub.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="what it is computed in")
    sub.add_argument("--quiet", action="store_true", help="print errors only")

    sub = verb(verbs, "weights", None, "list, show, check and convert weights", "restore-jax weights list")
    kinds = sub.add_subparsers(metavar="VERB", required=True)
    verb(kinds, "list", weights_list, "list the weights that ship", "restore-jax weights list")
    sub = verb(kinds, "card", weights_card, "how weights were made, and their licence", "restore-jax weights card ifan")
    sub.add_argument("name", metavar="NAME|FILE")
    sub = verb(kinds, "verify", weights_verify, "check weights against their sha256", "restore-jax weights verify ifan")
    sub.add_argument("name", nargs="?", metavar="NAME", help="default: all that ship")
    example = "restore-jax weights convert ifan IFAN.pytorch -o ifan.safetensors --option variant=released"
    sub = verb(kinds, "convert", weights_convert, "convert a published checkpoint", example)
    sub.add_argument("model", metavar="MODEL", help="the network, such as ifan")
    sub.add_argument("file", nargs="+", metavar="FILE", help=".pytorch, .pth or .npz (the first two need torch)")
    sub.add_argument("-o", "--out", required=True, metavar="OUT.safetensors")
    sub.add_argument("--ema", action="store_true", help="prefer weights averaged over the training, if it holds both")
    sub.add_argument(
        "--option", action="append", type=option, default=[], metavar="KEY=VALUE", help="of the network; repeatable"
    )

    text = "defocus a photograph of measured depth, restore it, and compare with the truth"
    sub = verb(verbs, "demo", demo, text, "restore-jax demo -o demo")
    sub.add_argument("-o", "--out", default="demo", metavar="DIR", help="folder for the pictures (default: demo)")
    sub.add_argument("--weights", default="ifan", metavar="NAME|FILE", help="default: ifan")

    example = "restore-jax train --config=configs/ifan.py:tiny --workdir=runs/tiny"
    sub = verb(verbs, "train", train, "train a network; takes the arguments of python -m restore_jax.train", example)
    sub.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="--config=FILE --workdir=DIR ...")
    sub = verb(verbs, "bench", bench, "measure speed and memory on this machine", "restore-jax bench")
    sub.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    cli_defocus.add_verbs(verbs, verb)
    cli_data.add_verbs(verbs, verb)
    cli_evaluate.add_verbs(verbs, verb)
    cli_tables.add_verbs(verbs, verb)
    cli_vsr.add_verbs(verbs, verb)
    cli_app.add_verbs(verbs, verb)
    cli_release.add_verbs(verbs, verb)
    return top


DEBLUR_EXAMPLES = """restore-jax deblur photo.jpg                     writes photo_deblurred.jpg
         restore-jax deblur photo.jpg --method deconv     by an estimated defocus map, without a deblurring network
         restore-jax deblur holiday/ -o sharper/ --compare
         restore-jax deblur photo.png --left photo_l.png --right photo_r.png --weights dual.safetensors"""


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    # What JAX says about a damaged or unwritable cache is no matter for who wants a photo: it compiles again.
    warnings.filterwarnings("ignore", message=".*persistent compilation cache")
    argv = sys.argv[1:] if argv is None else argv
    try:
        # These two have parsers of their own, which only they import.
        if argv and argv[0] in PASSED_ON:
            return PASSED_ON[argv[0]](argparse.Namespace(rest=argv[1:]))
        args = parser().parse_args(argv)
        return args.run(args)
    except InputError as error:
        print(f"restore-jax: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("restore-jax: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read what is printed has seen enough: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except SystemExit as leaving:  # argparse: --help, --version or a usage error, said already
        return leaving.code if isinstance(leaving.code, int) else 1
    except Exception as error:
        if (line := _of_the_files(error)) and not os.environ.get("RESTORE_JAX_DEBUG"):
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


def _of_the_files(error: Exception) -> str | None:
    """What is wrong with a name a person gave, where the file system found it first."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}"
    said = str(error)
    return said if isinstance(error, RuntimeError) and said.startswith("Symlink loop") else None


PASSED_ON = {"train": train, "bench": bench}
