"""restore-jax defocus, magnify and depth: how blurred is each pixel of a photograph, and what that is good for."""

import pathlib

from restore_jax.errors import InputError

DEFOCUS = """restore-jax defocus photo.jpg        writes photo_defocus.png, 16 bits, and photo_defocus_colours.png
         restore-jax defocus photo.jpg -o map.npy --method zhuo"""


def add_verbs(verbs, verb) -> None:
    """Adds the verbs to the subparsers `verbs`; `verb` makes one as `restore_jax.cli.parser` does."""
    sub = verb(verbs, "defocus", defocus, "estimate how blurred each pixel is", DEFOCUS)
    sub.add_argument("-o", "--out", metavar="MAP", help=".png (thousandths of a pixel, 16 bits) or .npy (pixels)")
    _add_estimation(sub)
    sub = verb(
        verbs, "magnify", magnify_blur, "blur what is out of focus more", "restore-jax magnify photo.jpg --scale 8"
    )
    sub.add_argument("-o", "--out", metavar="FILE", help="default: PHOTO_magnified beside it")
    sub.add_argument("--scale", type=float, default=4.0, help="how many times as much (4)")
    sub.add_argument("--map", metavar="MAP", help="of restore-jax defocus; else it is estimated")
    _add_estimation(sub)
    sub = verb(
        verbs, "depth", depth, "order pixels by depth, by their blur", "restore-jax depth photo.jpg --focus near"
    )
    sub.add_argument("-o", "--out", metavar="FILE", help="a 16-bit PNG, near is dark (default: PHOTO_depth.png)")
    sub.add_argument("--focus", default="near", metavar="near|far", help="what is in focus (near)")
    sub.add_argument("--map", metavar="MAP", help="of restore-jax defocus; else it is estimated")
    _add_estimation(sub)


def _add_estimation(sub):
    sub.add_argument("photo", metavar="PHOTO")
    sub.add_argument("--method", default="dmenet", metavar="NAME", help="dmenet (default), zhuo, jnb or ebdb")
    sub.add_argument("--weights", default="dmenet", metavar="NAME|FILE", help="of dmenet; see weights list")
    sub.add_argument("--quiet", action="store_true", help="print errors only")


def defocus(args) -> int:
    """restore-jax defocus."""
    from restore_jax.defocus import write_colours, write_map

    out = _target(args, "_defocus", (".png", ".npy"))
    colours = out.with_name(f"{out.stem}_colours.png")
    _keep_input(args.photo, out, colours)
    report, _, sigma = _estimated(args)
    write_map(out, sigma)
    write_colours(colours, sigma)
    report.done(f"{out}  sigma {sigma.min():.2f} to {sigma.max():.2f} px")
    report.done(f"{colours}")
    return 0


def magnify_blur(args) -> int:
    """restore-jax magnify."""
    from restore_jax.defocus import magnify
    from restore_jax.io.photos import write_photo

    photo = pathlib.Path(args.photo)
    out = pathlib.Path(args.out) if args.out else photo.with_name(f"{photo.stem}_magnified{photo.suffix}")
    _keep_input(photo, out)
    report, picture, sigma = _estimated(args)
    write_photo(out, magnify(picture.pixels, sigma, args.scale), like=picture)
    report.done(f"{out}")
    return 0


def depth(args) -> int:
    """restore-jax depth."""
    from restore_jax.defocus import STEPS_PER_PIXEL, pseudo_depth, write_map

    if args.focus not in ("near", "far"):
        raise InputError(f"--focus {args.focus!r} is near or far")
    out = _target(args, "_depth", (".png",))
    _keep_input(args.photo, out)
    report, _, sigma = _estimated(args)
    write_map(out, pseudo_depth(sigma, args.focus) * (65535 / STEPS_PER_PIXEL))  # all 16 bits
    report.done(f"{out}")
    return 0


def _target(args, ending, suffixes):
    photo = pathlib.Path(args.photo)
    out = pathlib.Path(args.out) if args.out else photo.with_name(f"{photo.stem}{ending}.png")
    if out.suffix not in suffixes:
        raise InputError(f"{out}: a map is written as {' or '.join(suffixes)}")
    return out


def _keep_input(photo, *outputs):
    if pathlib.Path(photo).resolve() in [out.resolve() for out in outputs]:
        raise InputError(f"{photo}: is the input and would be overwritten; choose another -o")


def _estimated(args):
    """(report, photo, sigma) of the photo: read from --map, or estimated."""
    from restore_jax import io
    from restore_jax.defocus import map_for
    from restore_jax.report import Report

    report = Report(1, args.quiet)
    report.photo(pathlib.Path(args.photo).name)
    try:
        picture = io.read_photo(args.photo)
        sigma = map_for(
            args.photo, picture.pixels, getattr(args, "map", None), args.method, args.weights, report.progress
        )
    finally:
        report.clear()
    return report, picture, sigma
