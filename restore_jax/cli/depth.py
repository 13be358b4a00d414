"""restore-jax depth orders the pixels of a photograph by depth, by how blurred they are."""

from restore_jax.cli.arguments import add_estimation, add_map
from restore_jax.report import Report

EXAMPLES = "restore-jax depth photo.jpg --focus near"


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("-o", "--out", metavar="FILE", help="16-bit PNG, near is dark (default: PHOTO_depth.png)")
    help = "whether the nearest or the farthest is in focus (default: near)"
    parser.add_argument("--focus", default="near", metavar="near|far", help=help)
    add_map(parser)
    add_estimation(parser)


def run(args) -> int:
    """Write the depth."""
    from restore_jax.photographs import MapOptions, depth_file

    depth_file(MapOptions(args.photo, args.out, args.map, args.method, args.weights), args.focus, Report(args.quiet))
    return 0
