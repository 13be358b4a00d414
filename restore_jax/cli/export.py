"""restore-jax export writes a network as a program that runs without this package."""

from restore_jax.cli.arguments import positive
from restore_jax.errors import InputError

EXAMPLES = """restore-jax export ifan -o exported
         restore-jax export runs/mine/final.safetensors -o exported --platforms cpu,cuda
         restore-jax export refvsr -o exported --height 270 --width 480

Writes NAME.jax_export, program and weights in one for any machine with JAX, and NAME.json, which describes it. Networks
that take images of any size are exported so, others for the size that is given: the README shows how to load them."""


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("name", metavar="NAME|FILE", help="weights, see restore-jax weights list")
    add("-o", "--out", required=True, metavar="DIR", help="folder that gets the files")
    help = "cpu, cuda, rocm, tpu; with commas between them (default: cpu,cuda,tpu)"
    add("--platforms", default="cpu,cuda,tpu", metavar="P,P", help=help)
    add("--height", type=positive, metavar="N", help="height in pixels of the image or frames (default: any)")
    add("--width", type=positive, metavar="N", help="width in pixels of the image or frames (default: any)")
    add("--frames", type=positive, metavar="T", help="frames of the clip, for networks of clips of any length")


def run(args) -> int:
    """Write the program and its description."""
    from restore_jax import weights
    from restore_jax.export import export

    if (args.height is None) != (args.width is None):
        raise InputError("--height and --width: give both, or none for any size")
    size = None if args.height is None else (args.height, args.width)
    platforms = [platform.strip() for platform in args.platforms.split(",")]
    for path in export(weights.load(args.name), args.out, platforms, size, args.frames):
        print(f"{path}  {path.stat().st_size / 2**20:.2f} MiB")
    return 0
