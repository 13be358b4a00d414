"""restore-jax export, which takes a network elsewhere, and restore-jax doctor, which says what is here."""

import sys

from restore_jax.cli.arguments import positive
from restore_jax.errors import InputError

EXPORT = """restore-jax export ifan -o exported
         restore-jax export runs/mine/final.safetensors -o exported --platforms cpu,cuda
         restore-jax export refvsr -o exported --height 270 --width 480

Writes NAME.jax_export, program and weights in one for any machine with JAX, and NAME.json, which describes it. Networks
that take images of any size are exported so, others for the size that is given: the README shows how to load them."""


def add_verbs(verbs, verb) -> None:
    """Adds the verbs to the subparsers `verbs`; `verb` makes one as `restore_jax.cli.parser` does."""
    sub = verb(verbs, "export", export, "write a network as a program that runs without this package", EXPORT)
    sub.add_argument("name", metavar="NAME|FILE", help="weights, see weights list")
    sub.add_argument("-o", "--out", required=True, metavar="DIR", help="folder that gets the files")
    help = "cpu, cuda, rocm, tpu; with commas (cpu,cuda,tpu)"
    sub.add_argument("--platforms", default="cpu,cuda,tpu", metavar="P,P", help=help)
    sub.add_argument("--height", type=positive, metavar="N", help="of the image or frames, pixels; default: any")
    sub.add_argument("--width", type=positive, metavar="N")
    sub.add_argument("--frames", type=positive, metavar="T", help="of the clip, for networks of clips of any length")
    verb(verbs, "doctor", doctor, "say what this machine has, and check the weights", "restore-jax doctor")


def export(args) -> int:
    """restore-jax export."""
    if (args.height is None) != (args.width is None):
        raise InputError("--height and --width: give both, or none for any size")
    from restore_jax import weights
    from restore_jax.export import export

    size = None if args.height is None else (args.height, args.width)
    platforms = [platform.strip() for platform in args.platforms.split(",")]
    for path in export(weights.load(args.name), args.out, platforms, size, args.frames):
        print(f"{path}  {path.stat().st_size / 2**20:.2f} MiB")
    return 0


def doctor(args) -> int:
    """restore-jax doctor: 1 if a device or weights are not sound."""
    from restore_jax.doctor import examine

    if examine():
        return 0
    print("restore-jax: doctor: something above is not sound", file=sys.stderr)
    return 1
