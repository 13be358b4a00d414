"""restore-jax vsr enlarges a video with the help of one that a longer lens took of the same scene."""

import argparse
import dataclasses
from fractions import Fraction

from restore_jax.cli.arguments import takes_stdout
from restore_jax.report import Report

EXAMPLES = """restore-jax vsr wide.mp4 --ref tele.mp4 -o out.mp4
         restore-jax vsr wide.mp4 --ref tele.mp4 -o out.mp4 --start 2 --end 5 --fov 2 --offset 0
         restore-jax vsr wide_frames/ --ref tele_frames/ -o out_frames/
         restore-jax vsr wide.jpg --ref tele.jpg --image -o out.png
         restore-jax vsr wide.mp4 --ref tele.mp4 --memory adapt -o out.mp4

A stopped run goes on where it was when the same command is given again. What is written has the fps, sound, rotation
and colour tags of the first video."""


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("wide", metavar="WIDE", help="video, or folder of PNG or JPEG frames, of the wider lens")
    parser.add_argument(
        "--ref",
        dest="reference",
        metavar="LONGER",
        help="video or folder of frames of the longer lens, which shows the same moments",
    )
    help = ".mp4, .mov or .mkv file, or a folder for PNG frames (default: WIDE_enlarged beside WIDE)"
    parser.add_argument("-o", "--out", metavar="OUT", help=help)
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="weights to restore by, or bicubic, which needs none (default: the best that ship)",
    )
    parser.add_argument(
        "--scale",
        type=int,
        default=4,
        choices=(2, 4),
        help="times that width and height grow; must be that of the weights (default: 4)",
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds into WIDE to begin at")
    parser.add_argument("--end", type=float, metavar="S", help="seconds into WIDE to stop at")
    parser.add_argument(
        "--crf", type=float, default=17.0, help="H.264 quality from 0 to 51; less is better and larger (default: 17)"
    )
    parser.add_argument(
        "--fov", type=float, metavar="X", help="how many times as wide WIDE's view is (default: measured)"
    )
    parser.add_argument(
        "--offset",
        type=float,
        metavar="S",
        help="seconds by which LONGER shows a moment later than WIDE (default: measured)",
    )
    parser.add_argument(
        "--fps",
        type=_rate,
        default=Fraction(30),
        metavar="N",
        help="frames a second of a folder of frames (default: 30)",
    )
    parser.add_argument(
        "--memory", choices=("adapt",), help="let a network's memory learn LONGER first, which takes minutes"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="stop adapting the memory after N passes over the reference (default: 10)",
    )
    parser.add_argument("--minutes", type=float, metavar="M", help="stop adapting the memory after M minutes")
    parser.add_argument(
        "--frames", type=int, metavar="N", help="number of LONGER's frames that the memory learns (default: 20)"
    )
    parser.add_argument("--image", action="store_true", help="WIDE, LONGER and OUT are photographs")
    parser.add_argument(
        "--tile",
        type=int,
        default=512,
        metavar="N",
        help="side in pixels of the largest square computed at once (default: 512)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="number format of the computation (default: float32)",
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames a second")
    return rate.limit_denominator(1001)


def run(args) -> int:
    """Enlarge the video."""
    from restore_jax.video.enlarge import Options, enlarge

    options = {field.name: getattr(args, field.name) for field in dataclasses.fields(Options)}
    enlarge(Options(**options), Report(args.quiet, takes_stdout(args.out, args.wide)))
    return 0
