"""restore-jax defocus estimates how blurred each pixel of a photograph is."""

from restore_jax.cli.arguments import add_estimation
from restore_jax.report import Report

EXAMPLES = """restore-jax defocus photo.jpg        writes photo_defocus.png, 16 bits, and photo_defocus_colours.png
         restore-jax defocus photo.jpg -o map.npy --method zhuo"""


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    help = ".png (thousandths of a pixel, 16 bits) or .npy (pixels) (default: PHOTO_defocus.png)"
    parser.add_argument("-o", "--out", metavar="MAP", help=help)
    add_estimation(parser)


def run(args) -> int:
    """Write the map, and a picture of it."""
    from restore_jax.photographs import MapOptions, defocus_file

    defocus_file(MapOptions(args.photo, args.out, method=args.method, weights=args.weights), Report(args.quiet))
    return 0
