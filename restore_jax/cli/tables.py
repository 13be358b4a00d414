"""restore-jax tables fills in the dissertation's tables as far as data and weights are at hand."""

import pathlib

from restore_jax.cli.arguments import positive, size_of
from restore_jax.errors import InputError
from restore_jax.plots.charts import check_matplotlib

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
    from restore_jax.io import atomic

    _refuse_contradictions(args)
    if args.rendered:
        text, document, picture = _rendered(args)
    else:
        text, document, picture = _filled(args) if args.number else _overview(args)
    print(text, end="")
    if args.markdown:
        atomic.write(pathlib.Path(args.markdown), text.encode())
    if args.json:
        atomic.write(pathlib.Path(args.json), document)
    if args.plot:
        from restore_jax.io.photos import write_photo

        write_photo(args.plot, picture() / 255)
    return 0


def _overview(args):
    from restore_jax.evaluation import tables

    lines = tables.overview(_options(args))
    text = tables.overview_markdown(lines) + "\nrestore-jax tables NUMBER fills one in.\n"
    return text, tables.overview_json(lines), None


def _filled(args):
    from restore_jax.evaluation import rows as evaluate
    from restore_jax.evaluation import tables

    data = args.data[0] if args.data else ""
    if args.plot:
        tables.chapter(args.number)
    filling = tables.fill(args.number, _options(args), data, args.size, args.time)
    text = tables.markdown(filling)
    if args.all_conventions:
        text += f"\n{evaluate.by_convention(filling.rows)}\n"

    return text, tables.as_json(filling), lambda: tables.picture(filling)


def _rendered(args):
    from restore_jax.evaluation import rendered as tables_rendered

    numbers = tuple((args.only or args.number or ",".join(tables_rendered.NUMBERS)).split(","))
    budget = tables_rendered.Budget(args.steps, args.seeds)
    found = tables_rendered.run(numbers, budget, args.workdir, args.data or (), args.held_out or "", _options(args))
    return tables_rendered.markdown(found), tables_rendered.as_json(found), None


def _options(args):
    from restore_jax.evaluation import published
    from restore_jax.evaluation import rows as evaluate
    from restore_jax.report import say

    out = args.json and pathlib.Path(args.json)
    return evaluate.Options(
        weights=evaluate.weights_by_role(args.weights, "", (*published.NETWORKS, "lpips", "vgg")),
        limit=args.limit,
        pictures=args.pictures and pathlib.Path(args.pictures),
        journal=evaluate.Journal(out and out.with_name(f"{out.name}.images.jsonl")),
        say=(lambda text: None) if args.quiet else say,
        all_conventions=args.all_conventions,
    )


def _refuse_contradictions(args):
    for argument in args.weights:
        if not argument.partition("=")[2]:
            raise InputError(f"--weights {argument}: say whose, as in ours_l1={argument}")
    if args.plot:
        check_matplotlib("--plot")
    for name in ("json", "markdown", "plot"):
        if (path := getattr(args, name)) and pathlib.Path(path).is_dir():
            raise InputError(f"{path}: is a folder, not a file to write to")
    if args.rendered:
        if args.plot or args.time or args.size or args.pictures:
            raise InputError("--rendered: goes with none of --plot, --time, --size and --pictures")
        return
    if args.only or args.held_out:
        raise InputError("--only and --held-out: go with --rendered")
    if args.data and len(args.data) > 1:
        raise InputError(f"--data {' '.join(args.data)}: one data set at a time")
    if not args.number and any((args.data, args.plot, args.time, args.size, args.limit, args.pictures)):
        raise InputError("tables: --data, --limit, --pictures, --plot, --time and --size: give the number of a table")
