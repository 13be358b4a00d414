"""restore-jax magnify increases the blur of what is out of focus in a photograph."""

from restore_jax.cli.arguments import add_estimation, add_map, takes_stdout
from restore_jax.report import Report

EXAMPLES = "restore-jax magnify photo.jpg --scale 8"


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("-o", "--out", metavar="FILE", help="output file (default: PHOTO_magnified beside the photo)")
    parser.add_argument("--scale", type=float, default=4.0, help="how many times as much blur, 1 or more (default: 4)")
    add_map(parser)
    add_estimation(parser)


def run(args) -> int:
    """Write the photograph with more blur."""
    from restore_jax.photographs import MapOptions, magnify_file

    report = Report(args.quiet, takes_stdout(args.out, args.photo))
    magnify_file(MapOptions(args.photo, args.out, args.map, args.method, args.weights), args.scale, report)
    return 0
