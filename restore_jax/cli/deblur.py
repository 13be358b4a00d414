"""restore-jax deblur makes defocused photographs sharper."""

import argparse
import dataclasses
import sys

from restore_jax.cli.arguments import add_dtype, add_map, add_quiet, takes_stdout
from restore_jax.report import Report

EXAMPLES = """restore-jax deblur photo.jpg                     writes photo_deblurred.jpg
         restore-jax deblur photo.jpg --method deconv     by an estimated defocus map, without a deblurring network
         restore-jax deblur holiday/ -o sharper/ --compare
         restore-jax deblur - < photo.heic > sharp.heic
         restore-jax deblur photo.png --left photo_l.png --right photo_r.png --weights dual.safetensors"""


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="files, folders or glob patterns; - is standard input")
    help = "output file; a folder for several photos; - is standard output (default: NAME_deblurred beside each photo)"
    add("-o", "--out", help=help)
    add("--weights", default="ifan", metavar="NAME|FILE", help="weights, see restore-jax weights list (default: ifan)")
    add("--left", metavar="L", help="left dual-pixel view, for weights made for them")
    add("--right", metavar="R", help="right dual-pixel view, for weights made for them")
    help = "restore by a network, or deconvolve by a defocus map (default: network)"
    add("--method", choices=("network", "deconv"), default="network", help=help)
    add_map(parser)
    help = "with --method deconv, weight of the photo against smoothness; more is sharper (default: 420)"
    add("--data-weight", type=float, default=420.0, metavar="L", help=help)
    help = (
        "share of the network's answer that is taken, 0 to 1; auto takes it where the photo is blurred "
        "(default: what the card of the weights recommends)"
    )
    add("--strength", type=_strength, metavar="auto|0..1", help=help)
    add("--compare", action="store_true", help="write NAME_compare.EXT too: photo and result in a row")
    help = "side in pixels of the largest square computed at once (default: auto)"
    add("--tile", type=_tile_size, default="auto", metavar="auto|N", help=help)
    add_dtype(parser)
    add_quiet(parser)


def run(args) -> int:
    """Restore the photos; 2 if any could not be."""
    from restore_jax.photographs import DeblurOptions, deblur_files

    options = {field.name: getattr(args, field.name) for field in dataclasses.fields(DeblurOptions)}
    report = Report(args.quiet, takes_stdout(args.out, *args.photos))
    outcome = deblur_files(DeblurOptions(**options), report)
    for failure in outcome.failures:
        print(f"restore-jax: {failure}", file=sys.stderr)
    if outcome.failures and outcome.total > 1:
        report.done(f"{outcome.total - len(outcome.failures)} of {outcome.total} photos restored")
    return 2 if outcome.failures else 0


def _strength(text: str):
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not auto or a number from 0 to 1") from None


def _tile_size(text: str):
    if text == "auto":
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not auto or a number of pixels")
    return int(text)
