"""restore-jax evaluate measures methods on a data set whose truth is known."""

import pathlib

from restore_jax.cli.arguments import positive
from restore_jax.errors import InputError
from restore_jax.report import say

EXAMPLES = """restore-jax evaluate defocus --data FOLDER --method dmenet zhuo      FOLDER holds image/ and map/
         restore-jax evaluate defocus --data cuhk_blur/train504 --method ebdb --json ebdb.json --pictures maps/
         restore-jax evaluate deblur --data PAIRS --method input ifan jnb --all-conventions   blurred/ and sharp/
         restore-jax evaluate real FOLDER --weights mine.safetensors     NAME_A, NAME_B and their sharp NAME_F
         restore-jax evaluate vsr --data FOLDER --method bicubic refvsr --pictures out/   photographs and videos"""

SUBJECTS = {"defocus": "dmenet", "deblur": "ifan", "real": "ifan", "vsr": "refvsr"}  # {subject: default method}
FULL = {"defocus": "bdcs", "vsr": "ours"}  # {subject: the role that --weights FILE belongs to}
LEARNT = ("ifan", "dpdnet", "dmenet")  # methods of deblurring that take weights


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "subject",
        choices=tuple(SUBJECTS),
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
    from restore_jax.evaluation import rows as engine
    from restore_jax.io import atomic

    if args.folder and args.data:
        raise InputError(f"{args.folder}: --data {args.data} says already what to measure on")
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
    """Returns the role of weights that are given without a name."""
    if args.subject in ("deblur", "real"):
        return next((method for method in _methods(args) if method in LEARNT), "ifan")
    return FULL[args.subject]


def _rows(args):
    """Returns the roles that weights may be given for."""
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
