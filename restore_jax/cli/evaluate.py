"""restore-jax evaluate measures methods on a data set whose truth is known."""

from restore_jax.cli.arguments import positive
from restore_jax.errors import InputError
from restore_jax.report import say

EXAMPLES = """restore-jax evaluate defocus --data FOLDER --method dmenet zhuo      FOLDER holds image/ and map/
         restore-jax evaluate defocus --data cuhk_blur/train504 --method ebdb --json ebdb.json --pictures maps/
         restore-jax evaluate deblur --data PAIRS --method input ifan jnb --all-conventions   blurred/ and sharp/
         restore-jax evaluate real FOLDER --weights mine.safetensors     NAME_A, NAME_B and their sharp NAME_F
         restore-jax evaluate vsr --data FOLDER --method bicubic refvsr --pictures out/   photographs and videos"""


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "subject",
        choices=("defocus", "deblur", "real", "vsr"),
        help="what to measure: defocus maps, photographs deblurred from pairs (deblur) or from real triples focused "
        "near and far (real), or videos",
    )
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="folder to measure on; does the same as --data FOLDER"
    )
    parser.add_argument(
        "--data",
        metavar="NAME|FOLDER",
        help="data to measure on: a dataset made by data build (cuhk_blur/train504, rtf, syndof, dpdd/png8, realdof, "
        "realmcvsr) or a folder; for vsr a virtual triple camera films its photographs and videos",
    )
    parser.add_argument(
        "--method",
        nargs="+",
        metavar="NAME",
        help="methods to measure; defocus: dmenet (default), zhuo, jnb, ebdb; deblur: ifan (default), dpdnet, input, "
        "or deconvolution by the map of one of the former; vsr: refvsr (default), basicvsr, iconvsr, edvr, bicubic",
    )
    help = "print every result under every convention of metrics"
    parser.add_argument("--all-conventions", action="store_true", help=help)
    help = "weights of the network; NAME=FILE for one of several networks, lpips=FILE for LPIPS; may be repeated"
    parser.add_argument("--weights", action="append", default=[], metavar="NAME|FILE", help=help)
    help = "file for the results; scores of photographs go to OUT.images.jsonl, from which a killed run continues"
    parser.add_argument("--json", metavar="OUT", help=help)
    help = "folder for pictures: maps in colour and curves, or frames and confidences"
    parser.add_argument("--pictures", metavar="DIR", help=help)
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="measure the first N photographs of a data set, or frames of a clip"
    )
    parser.add_argument("--quiet", action="store_true", help="print results and errors only")


def run(args) -> int:
    """Measure, print, and write the files asked for."""
    from restore_jax.evaluation.comparison import Options, compare

    if args.folder and args.data:
        raise InputError(f"{args.folder}: --data {args.data} says already what to measure on")
    options = Options(
        subject=args.subject,
        data=args.data or args.folder,
        methods=tuple(args.method or ()),
        weights=tuple(args.weights),
        limit=args.limit,
        json=args.json,
        pictures=args.pictures,
        all_conventions=args.all_conventions,
    )
    print(compare(options, (lambda text: None) if args.quiet else say))
    return 0
