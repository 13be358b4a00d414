"""restore-jax evaluate: metrics of a method on a data set, or a table of the dissertation."""

import pathlib

from restore_jax.errors import InputError

EXAMPLES = """restore-jax evaluate defocus --data FOLDER --method dmenet zhuo      FOLDER holds image/ and map/
         restore-jax evaluate defocus --data cuhk_blur/train504 --method ebdb --json ebdb.json --pictures maps/
         restore-jax evaluate --table 3.3 --weights bdcs=dmenet_released.safetensors
         restore-jax evaluate vsr --data FOLDER --method bicubic refvsr --pictures out/   FOLDER of photographs, videos
         restore-jax evaluate --table 5.6 --weights ours_l1=runs/ours_l1/final.safetensors"""


SUBJECTS = ("defocus", "vsr")
VIDEO_TABLES = (*(f"5.{n}" for n in range(1, 7)), *(f"6.{n}" for n in range(1, 6)))


def add_verbs(verbs, verb) -> None:
    """Adds the verb to the subparsers `verbs`; `verb` makes one as `restore_jax.cli.parser` does."""
    sub = verb(verbs, "evaluate", evaluate, "measure methods on data with a truth, or fill in a table", EXAMPLES)
    sub.add_argument("subject", nargs="?", choices=SUBJECTS, help="what is measured: maps of defocus, or videos")
    sub.add_argument(
        "--data",
        metavar="NAME|FOLDER",
        help="cuhk_blur/train504, rtf, syndof, realmcvsr (of data build), or a folder; of videos and photographs in it "
        "a virtual triple camera makes clips",
    )
    sub.add_argument(
        "--method",
        nargs="+",
        metavar="NAME",
        help="dmenet (default), zhuo, jnb, ebdb; vsr: refvsr, basicvsr, iconvsr, edvr, bicubic",
    )
    sub.add_argument(
        "--table", metavar="NUMBER", help="of the dissertation: 3.1, 3.2, 3.3, fig3.5, fig3.6, 5.1 to 5.6, 6.1 to 6.5"
    )
    help = "of dmenet or refvsr; in tables ROW=FILE for one of the rows, such as bdc=FILE or ours_l1=FILE"
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
    from restore_jax import atomic
    from restore_jax import evaluate as engine

    _refuse_contradictions(args)
    out = args.json and pathlib.Path(args.json)
    options = engine.Options(
        weights=_weights(args.weights, "ours" if _of_video(args) else "bdcs"),
        limit=args.limit,
        journal=engine.Journal(out and out.with_name(f"{out.name}.images.jsonl")),
        pictures=args.pictures and pathlib.Path(args.pictures),
        say=(lambda text: None) if args.quiet else _say,
    )
    title, note, filled = _computed(args, options)
    print(f"{title}\n\n{engine.markdown(filled)}")
    if note:
        print(f"\n{note}")
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
    from restore_jax import evaluate as engine
    from restore_jax import evaluate_defocus

    if _of_video(args):
        return _computed_video(args, options)
    if not args.table:
        methods = list(dict.fromkeys(args.method or ["dmenet"]))
        return f"Defocus maps on {args.data}", "", evaluate_defocus.compare(args.data, methods, options)
    if args.table not in evaluate_defocus.TABLES:
        raise InputError(
            f"--table {args.table}: there are {', '.join(evaluate_defocus.TABLES)}, 5.1 to 5.6, 6.1 to 6.5"
        )
    table = evaluate_defocus.TABLES[args.table]
    return table.title, table.note, engine.fill(table, options)


def _computed_video(args, options):
    """The same of videos."""
    from restore_jax import evaluate as engine
    from restore_jax import evaluate_memory, evaluate_vsr

    if args.table:
        chapter = evaluate_memory if args.table[0] == "6" else evaluate_vsr
        table = chapter.table(args.table, args.data or "realmcvsr")
        return table.title, table.note, engine.fill(table, options)
    methods = list(dict.fromkeys(args.method or ["refvsr"]))
    return f"Video super-resolution on {args.data}", "", evaluate_vsr.compare(args.data, methods, options)


def _of_video(args) -> bool:
    return args.subject == "vsr" or args.table in VIDEO_TABLES


def _refuse_contradictions(args):
    if bool(args.table) == bool(args.subject):
        raise InputError("evaluate: give either defocus or vsr, with --data, or --table NUMBER")
    if args.table in VIDEO_TABLES and args.method:
        raise InputError(f"--table {args.table}: its rows say which methods; leave --method out")
    if args.table and args.table not in VIDEO_TABLES and (args.data or args.method):
        raise InputError(f"--table {args.table}: its rows say which data and methods; leave --data and --method out")
    if args.subject and not args.data:
        raise InputError(f"evaluate {args.subject}: needs --data NAME|FOLDER")
    if args.limit is not None and args.limit < 1:
        raise InputError(f"--limit {args.limit}: must be 1 or more")
    if args.json and pathlib.Path(args.json).is_dir():
        raise InputError(f"{args.json}: is a folder, not a file to write to")


def _weights(arguments, full):
    """{row: name or file}; what names no row is of the row `full`. Raises InputError if there are no such weights."""
    from restore_jax import weights

    found = {}
    for argument in arguments:
        row, equals, name = argument.rpartition("=")
        row = row if equals else full
        if row in found:
            raise InputError(f"--weights {argument}: {row} has {found[row]} already")
        weights.card(name)
        found[row] = name
    return found


def _write_curves(path, filled):
    from restore_jax.curves import draw_precision_recall
    from restore_jax.io import write_photo

    curves = {row.label: row.outcome.details for row in filled if row.outcome and "recall" in row.outcome.details}
    if curves:
        drawn = draw_precision_recall({label: (found["precision"], found["recall"]) for label, found in curves.items()})
        write_photo(path, drawn / 255)


def _say(text):
    import sys

    print(text, file=sys.stderr, flush=True)
