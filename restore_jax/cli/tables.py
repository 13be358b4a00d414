"""restore-jax tables fills in the dissertation's tables as far as data and weights are at hand."""

import dataclasses

from restore_jax.cli.arguments import positive, size_of
from restore_jax.report import say

EXAMPLES = """restore-jax tables                           lists the tables, and what of each can be computed
         restore-jax tables 4.2 --plot 4.2.png        parameters and operations beside the printed ones
         restore-jax tables 3.3 --weights bdcs=dmenet_released.safetensors
         restore-jax tables 4.2 --data dpdd/png8 --weights ifan=ifan.safetensors --json 4.2.json
         restore-jax tables 5.5 --data FOLDER --weights ours_l1=FILE --limit 10     on clips of FOLDER's photographs
         restore-jax tables --rendered --only 4.1 --steps 200 --seeds 2             trains each row, on rendered data"""


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "number",
        nargs="?",
        metavar="NUMBER",
        help="table to fill in: 3.1 to 3.3, fig3.5, fig3.6, 4.1 to 4.8, 5.1 to 5.6, 6.1 to 6.5 (default: list them)",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="NAME|FOLDER",
        help="data to measure on in place of the table's own; with --rendered, folders of photographs to train on",
    )
    help = "weights of a row, such as ours_l1=FILE, or of LPIPS, lpips=FILE; may be repeated"
    parser.add_argument("--weights", action="append", default=[], metavar="ROLE=FILE", help=help)
    help = "measure the first N photographs, or frames of each clip"
    parser.add_argument("--limit", type=positive, metavar="N", help=help)
    help = "measure the seconds for a picture on this machine, with random weights"
    parser.add_argument("--time", action="store_true", help=help)
    help = "width and height of the inputs that are counted and timed (default: the table's)"
    parser.add_argument("--size", type=size_of(least=32), metavar="WxH", help=help)
    help = "print quality under every convention of metrics"
    parser.add_argument("--all-conventions", action="store_true", help=help)
    help = "file for the results; scores of pictures go to FILE.images.jsonl, from which a killed run continues"
    parser.add_argument("--json", metavar="FILE", help=help)
    parser.add_argument("--markdown", metavar="FILE", help="file for the table as it is printed")
    help = "file for a chart of quality against MACs, or for fig3.6 of precision against recall"
    parser.add_argument("--plot", metavar="FILE.png", help=help)
    parser.add_argument("--pictures", metavar="DIR", help="folder for the pictures that are measured")
    parser.add_argument("--quiet", action="store_true", help="print results and errors only")
    trained = parser.add_argument_group("--rendered", "train each row at a small equal budget, on rendered data")
    help = "train and measure the rows of Tables 4.1, 4.2, 4.7, 5.2, 5.3 and 6.1"
    trained.add_argument("--rendered", action="store_true", help=help)
    trained.add_argument("--only", metavar="NUMBERS", help="train these tables only, such as 4.1,5.2")
    trained.add_argument("--steps", type=positive, default=200, metavar="N", help="steps of a training (default: 200)")
    help = "train each row K times, with other seeds (default: 2)"
    trained.add_argument("--seeds", type=positive, default=2, metavar="K", help=help)
    help = "folder of photographs to measure on (default: four of scikit-image)"
    trained.add_argument("--held-out", metavar="FOLDER", help=help)
    help = "folder for what is trained, where the same command continues (default: runs/tables)"
    trained.add_argument("--workdir", default="runs/tables", metavar="DIR", help=help)


def run(args) -> int:
    """Print the table, and write the files asked for."""
    from restore_jax.evaluation.filling import Options, fill_in

    options = {field.name: getattr(args, field.name) for field in dataclasses.fields(Options)}
    options |= {"data": tuple(args.data or ()), "weights": tuple(args.weights)}
    print(fill_in(Options(**options), (lambda text: None) if args.quiet else say), end="")
    return 0
