"""restore-jax defocus: how blurred is each pixel of a photograph?"""

import pathlib

EXAMPLES = """restore-jax defocus photo.jpg        writes photo_defocus.png, 16 bits, and photo_defocus_colours.png
         restore-jax defocus photo.jpg -o map.npy --method zhuo"""


def add_verb(verbs, verb) -> None:
    """Adds `defocus` to the subparsers `verbs`; `verb` makes one as `restore_jax.cli.parser` does."""
    sub = verb(verbs, "defocus", defocus, "estimate how blurred each pixel is", EXAMPLES)
    sub.add_argument("photo", metavar="PHOTO")
    sub.add_argument("-o", "--out", metavar="MAP", help=".png (thousandths of a pixel, 16 bits) or .npy (pixels)")
    sub.add_argument("--method", default="dmenet", metavar="NAME", help="dmenet (default), zhuo, jnb or ebdb")
    sub.add_argument("--weights", default="dmenet", metavar="NAME|FILE", help="of dmenet; see weights list")
    sub.add_argument("--quiet", action="store_true", help="print errors only")


def defocus(args) -> int:
    """restore-jax defocus."""
    from restore_jax import io
    from restore_jax.defocus import estimate_defocus, write_colours, write_map
    from restore_jax.errors import InputError
    from restore_jax.report import Report

    photo = pathlib.Path(args.photo)
    out = pathlib.Path(args.out) if args.out else photo.with_name(f"{photo.stem}_defocus.png")
    colours = out.with_name(f"{out.stem}_colours.png")
    if out.suffix not in (".png", ".npy"):
        raise InputError(f"{out}: a map is written as .npy or .png")
    if photo.resolve() in (out.resolve(), colours.resolve()):
        raise InputError(f"{photo}: is the input and would be overwritten; choose another -o")
    report = Report(1, args.quiet)
    report.photo(photo.name)
    try:
        pixels = io.read_photo(photo).pixels
        report.status("estimating")
        sigma = estimate_defocus(pixels, method=args.method, weights=args.weights, progress=report.progress)
        write_map(out, sigma)
        write_colours(colours, sigma)
    except InputError as error:
        said = str(error)
        raise InputError(said if str(photo) in said or args.weights in said else f"{photo}: {said}") from None
    finally:
        report.clear()
    report.done(f"{out}  sigma {sigma.min():.2f} to {sigma.max():.2f} px, median {float(_median(sigma)):.2f}")
    report.done(f"{colours}")
    return 0


def _median(values):
    import numpy as np

    return np.median(values)
