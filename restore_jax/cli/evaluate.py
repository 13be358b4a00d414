"""restore-jax evaluate: metrics of a method on a data set, or a table of the dissertation."""

import pathlib

from restore_jax.errors import InputError
from restore_jax.report import say

EXAMPLES = """restore-jax evaluate defocus --data FOLDER --method dmenet zhuo      FOLDER holds image/ and map/
         restore-jax evaluate defocus --data cuhk_blur/train504 --method ebdb --json ebdb.json --pictures maps/
         restore-jax evaluate --table 3.3 --weights bdcs=dmenet_released.safetensors
         restore-jax evaluate deblur --data PAIRS --method input ifan jnb --all-conventions   blurred/ and sharp/
         restore-jax evaluate vsr --data FOLDER --method bicubic refvsr --pictures out/   FOLDER of photographs, videos
         restore-jax evaluate --table 5.6 --weights ours_l1=runs/ours_l1/final.safetensors"""

SUBJECTS = {"defocus": "dmenet", "deblur": "ifan", "vsr": "refvsr"}  # and what is measured unless told
FULL = {
    "defocus": "bdcs",
    "3": "bdcs",
    "4": "ifan",
    "vsr": "ours",
    "5": "ours",
    "6": "ours",
}  # whose --weights are bare
LEARNT = ("ifan", "dpdnet", "dmenet")  # methods of deblurring that take weights


def add_verbs(verbs, verb) -> None:
    """Adds the verb to the subparsers `verbs`; `verb` makes one as `restore_jax.cli.parser` does."""
    sub = verb(verbs, "evaluate", evaluate, "measure methods on data with a truth, or fill in a table", EXAMPLES)
    sub.add_argument(
        "subject",
        nargs="?",
        choices=SUBJECTS,
        help="what is measured: maps of defocus, deblurred photographs, or videos",
    )
    sub.add_argument(
        "--data",
        metavar="NAME|FOLDER",
        help="cuhk_blur/train504, rtf, syndof, dpdd/png8, realdof, realmcvsr (of data build), or a folder; of videos "
        "and photographs in it a virtual triple camera makes clips",
    )
    sub.add_argument(
        "--method",
        nargs="+",
        metavar="NAME",
        help="dmenet (default), zhuo, jnb, ebdb; deblur: input, ifan, dpdnet, or one of those, by whose map is "
        "deconvolved; vsr: refvsr, basicvsr, iconvsr, edvr, bicubic",
    )
    sub.add_argument(
        "--table",
        metavar="NUMBER",
        help="of the dissertation: 3.1 to 3.3, fig3.5, fig3.6, 4.1 to 4.8, 5.1 to 5.6, 6.1 to 6.5; restore-jax tables "
        "counts parameters and operations besides",
    )
    sub.add_argument("--all-conventions", action="store_true", help="one result under every convention of metrics")
    help = "of dmenet, ifan, dpdnet or refvsr; in tables ROW=FILE for one of the rows, such as bdc=FILE or ours_l1=FILE"
    sub.add_argument("--weights", action="append", default=[], metavar="NAME|FILE", help=help)
    help = "results; scores of photographs go to OUT.images.jsonl, from which a killed run goes on"
    sub.add_argument("--json", metavar="OUT", help=help)
    sub.add_argument("--pictures", metavar="DIR", help="gets the maps in colour, and curves; or frames and confidences")
    sub.add_argument(
        "--limit", type=int, metavar="N", help="the first N photographs of each data set, or frames of each clip"
    )
    sub.add_argument("--quiet", action="store_true", help="print results and errors only")


def evaluate(args) -> int:
    """restore-jax evaluate."""
    from restore_jax.evaluation import rows as engine
    from restore_jax.io import atomic

    _refuse_contradictions(args)
    out = args.json and pathlib.Path(args.json)
    options = engine.Options(
        weights=weights_by_role(args.weights, _full_role(args), _rows(args)),
        limit=args.limit,
        journal=engine.Journal(out and out.with_name(f"{out.name}.images.jsonl")),
        pictures=args.pictures and pathlib.Path(args.pictures),
        say=(lambda text: None) if args.quiet else say,
        all_conventions=args.all_conventions,
    )
    title, note, filled = _computed(args, options)
    print(f"{title}\n\n{engine.markdown(filled)}")
    if note:
        print(f"\n{note}")
    if args.all_conventions:
        print(f"\n{engine.by_convention(filled)}")
    for row in filled:
        if row.missing:
            print(f"missing: {row.label}: {row.missing}")
    if out:
        atomic.write(out, engine.as_json(title, filled))
    if options.pictures:
        _write_curves(options.pictures / "precision_recall.png", filled)
    return 0


def _computed(args, options):
    """(title, note, rows) of the table, or of the methods on the data."""
    from restore_jax.evaluation import deblur as evaluate_deblur
    from restore_jax.evaluation import defocus as evaluate_defocus
    from restore_jax.evaluation import rows as engine
    from restore_jax.evaluation import tables
    from restore_jax.evaluation import vsr as evaluate_vsr

    if args.table:
        table = tables.open_table(args.table, args.data or "")
        return table.title, table.note, engine.fill(table, options)
    title, of_subject = {
        "defocus": ("Defocus maps", evaluate_defocus),
        "deblur": ("Defocus deblurring", evaluate_deblur),
        "vsr": ("Video super-resolution", evaluate_vsr),
    }[args.subject]
    return f"{title} on {args.data}", "", of_subject.compare(args.data, _methods(args), options)


def _methods(args):
    return list(dict.fromkeys(args.method or [SUBJECTS[args.subject]]))


def _full_role(args):
    """Whose weights those are that are given without a role."""
    if args.subject == "deblur":
        return next((method for method in _methods(args) if method in LEARNT), "ifan")
    return FULL[args.subject or args.table[0].replace("f", "3")]


def _rows(args):
    """Whose weights may be given."""
    from restore_jax.evaluation import published

    if args.table:
        return (*published.NETWORKS, "lpips")
    return (*LEARNT, "lpips") if args.subject == "deblur" else (_full_role(args),)


def _refuse_contradictions(args):
    from restore_jax.evaluation import tables

    if bool(args.table) == bool(args.subject):
        raise InputError("evaluate: give one of defocus, deblur and vsr, with --data, or --table NUMBER")
    if args.table:
        own_data = tables.chapter(args.table) == "3"
        if args.method or (own_data and args.data):
            wanted, left = ("data and ", "--data and ") if own_data else ("", "")
            raise InputError(f"--table {args.table}: its rows say which {wanted}methods; leave {left}--method out")
    if args.subject and not args.data:
        raise InputError(f"evaluate {args.subject}: needs --data NAME|FOLDER")
    if args.limit is not None and args.limit < 1:
        raise InputError(f"--limit {args.limit}: must be 1 or more")
    if args.json and pathlib.Path(args.json).is_dir():
        raise InputError(f"{args.json}: is a folder, not a file to write to")


def weights_by_role(arguments, full, rows):
    """{row: name or file}; what names no row is of the row `full`. Raises InputError if there are no such weights.

    rows: whose weights may be given; else a misspelt row would stay empty without a word.
    """
    import difflib

    from restore_jax import weights

    found = {}
    for argument in arguments:
        row, equals, name = argument.rpartition("=")
        row = row if equals else full
        if row in found:
            raise InputError(f"--weights {argument}: {row} has {found[row]} already")
        if row not in rows:
            nearest = ", ".join(difflib.get_close_matches(row, rows, cutoff=0))
            raise InputError(f"--weights {argument}: no row is named {row!r}; the nearest are {nearest}")
        weights.card(name)
        found[row] = name
    return found


def _write_curves(path, filled):
    from restore_jax.io.photos import write_photo
    from restore_jax.plots.curves import draw_precision_recall

    curves = {row.label: row.outcome.details for row in filled if row.outcome and "recall" in row.outcome.details}
    if curves:
        drawn = draw_precision_recall({label: (found["precision"], found["recall"]) for label, found in curves.items()})
        write_photo(path, drawn / 255)
