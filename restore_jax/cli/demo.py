"""restore-jax demo defocuses a photograph of measured depth, restores it, and compares it with the truth."""

EXAMPLES = "restore-jax demo -o demo"


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("-o", "--out", default="demo", metavar="DIR", help="folder for the pictures (default: demo)")
    help = "weights, see restore-jax weights list (default: ifan)"
    parser.add_argument("--weights", default="ifan", metavar="NAME|FILE", help=help)


def run(args) -> int:
    """Write the pictures."""
    from restore_jax import demo

    demo.run(args.out, weights=args.weights)
    return 0
