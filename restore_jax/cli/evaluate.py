"""restore-jax evaluate: metrics of methods on a data set whose truth is known."""

import pathlib

from restore_jax.cli.arguments import positive
from restore_jax.errors import InputError
from restore_jax.report import say

EXAMPLES = """restore-jax evaluate defocus --data FOLDER --method dmenet zhuo      FOLDER holds image/ and map/
         restore-jax evaluate defocus --data cuhk_blur/train504 --method ebdb --json ebdb.json --pictures maps/
         restore-jax evaluate deblur --data PAIRS --method input ifan jnb --all-conventions   blurred/ and sharp/
         restore-jax evaluate real FOLDER --weights mine.safetensors     NAME_A, NAME_B and their sharp NAME_F
         restore-jax evaluate vsr --data FOLDER --method bicubic refvsr --pictures out/   photographs and videos"""

SUBJECTS = {"defocus": "dmenet", "deblur": "ifan", "real": "ifan", "vsr": "refvsr"}  # and what is measured unless told
FULL = {"defocus": "bdcs", "vsr": "ours"}  # the role of --weights
LEARNT = ("ifan", "dpdnet", "dmenet")  # methods of deblurring that take weights


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "subject",
        choices=tuple(SUBJECTS),
        help="what is measured: maps of defocus, deblurred photographs, real ones focused near and far (real), "
        "or videos",
    )
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="the data, if it is a folder; the same as --data FOLDER"
    )
    parser.add_argument(
        "--data",
        metavar="NAME|FOLDER",
        help="cuhk_blur/train504, rtf, syndof, dpdd/png8, realdof, realmcvsr (of data build), or a folder; of videos "
        "and photographs in it a virtual triple camera makes clips",
    )
    parser.add_argument(
        "--method",
        nargs="+",
        metavar="NAME",
        help="dmenet (default), zhuo, jnb, ebdb; deblur: input, ifan, dpdnet, or one of those, by whose map is "
        "deconvolved; vsr: refvsr, basicvsr, iconvsr, edvr, bicubic",
    )
    parser.add_argument("--all-conventions", action="store_true", help="one result under every convention of metrics")
    help = "of dmenet, ifan, dpdnet or refvsr; of several networks NAME=FILE for each, and lpips=FILE for LPIPS"
    parser.add_argument("--weights", action="append", default=[], metavar="NAME|FILE", help=help)
    help = "results; scores of photographs go to OUT.images.jsonl, from which a killed run goes on"
    parser.add_argument("--json", metavar="OUT", help=help)
    help = "folder that gets the maps in colour, and curves; or frames and confidences"
    parser.add_argument("--pictures", metavar="DIR", help=help)
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="the first N photographs of each data set, or frames of each clip"
    )
    parser.add_argument("--quiet", action="store_true", help="print results and errors only")


def run(args) -> int:
    """Measure, print, and write the files asked for."""
    from restore_jax.evaluation import rows as engine
    from restore_jax.io import atomic

    if args.folder and args.data:
        raise InputError(f"{args.folder}: --data {args.data} says what to measure on already")
    args.data = args.data or args.folder
    _refuse_contradictions(args)
    out = args.json and pathlib.Path(args.json)
    options = engine.Options(
        weights=engine.weights_by_role(args.weights, _full_role(args), _rows(args)),
        limit=args.limit,
        journal=engine.Journal(out and out.with_name(f"{out.name}.images.jsonl")),
        pictures=args.pictures and pathlib.Path(args.pictures),
        say=(lambda text: None) if args.quiet else say,
        all_conventions=args.all_conventions,
    )
    title, filled = _computed(args, options)
    print(f"{title}\n\n{engine.markdown(filled)}")
    if args.all_conventions:
        print(f"\n{engine.by_convention(filled)}")
    if out:
        atomic.write(out, engine.as_json(title, filled))
    if options.pictures:
        _write_curves(options.pictures / "precision_recall.png", filled)
    return 0


def _computed(args, options):
    """Returns (title, rows) of the methods on the data."""
    from restore_jax.evaluation import deblur as evaluate_deblur
    from restore_jax.evaluation import defocus as evaluate_defocus
    from restore_jax.evaluation import real as evaluate_real
    from restore_jax.evaluation import vsr as evaluate_vsr

    title, of_subject = {
        "defocus": ("Defocus maps", evaluate_defocus),
        "deblur": ("Defocus deblurring", evaluate_deblur),
        "real": ("Real defocused photographs", evaluate_real),
        "vsr": ("Video super-resolution", evaluate_vsr),
    }[args.subject]
    return f"{title} on {args.data}", of_subject.compare(args.data, _methods(args), options)


def _methods(args):
    return list(dict.fromkeys(args.method or [SUBJECTS[args.subject]]))


def _full_role(args):
    """Returns whose weights those are that are given without a name."""
    if args.subject in ("deblur", "real"):
        return next((method for method in _methods(args) if method in LEARNT), "ifan")
    return FULL[args.subject]


def _rows(args):
    """Returns whose weights may be given."""
    return {"deblur": (*LEARNT, "lpips"), "real": LEARNT}.get(args.subject, (_full_role(args),))


def _refuse_contradictions(args):
    if not args.data:
        raise InputError(f"evaluate {args.subject}: needs --data NAME|FOLDER")
    if args.json and pathlib.Path(args.json).is_dir():
        raise InputError(f"{args.json}: is a folder, not a file to write to")


def _write_curves(path, filled):
    from restore_jax.evaluation.defocus import precision_and_recall
    from restore_jax.io.photos import write_photo
    from restore_jax.plots.charts import check_matplotlib, draw_precision_recall

    curves = precision_and_recall(filled)
    if curves:
        check_matplotlib(path)
        write_photo(path, draw_precision_recall(curves) / 255)
