"""The job of filling in the dissertation's tables: what `restore-jax tables` does."""

import dataclasses
import pathlib
from collections.abc import Callable

from restore_jax.errors import InputError
from restore_jax.evaluation import published, rendered, rows, tables
from restore_jax.io import atomic
from restore_jax.io.photos import write_photo
from restore_jax.plots.charts import check_matplotlib


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `fill_in`; `restore-jax tables --help` says more.

    number: of a table such as "4.2"; None gives an overview of all. data: what to measure on in place of the table's
    own, or with `rendered` photographs to train on. weights: "ROLE=FILE" for rows. limit: photographs, or frames of
    each clip. time: measure seconds a picture. size: (height, width) of inputs that are counted and timed.
    json, markdown, plot: files to write. pictures: a folder for what is measured.
    rendered: train each row of the tables `only` in `steps` steps, `seeds` times, measured on the photographs
    `held_out`, in the folder `workdir`.
    """

    number: str | None = None
    data: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    limit: int | None = None
    time: bool = False
    size: tuple[int, int] | None = None
    all_conventions: bool = False
    json: str | None = None
    markdown: str | None = None
    plot: str | None = None
    pictures: str | None = None
    rendered: bool = False
    only: str | None = None
    steps: int = 200
    seeds: int = 2
    held_out: str | None = None
    workdir: str = "runs/tables"


def fill_in(options: Options, say: Callable[[str], None] = lambda text: None) -> str:
    """Fill in, write the files asked for, and return the text of the tables. Raises InputError.

    say: is told what is done.
    """
    _check(options)
    out = options.json and pathlib.Path(options.json)
    settings = rows.Options(
        weights=rows.weights_by_role(options.weights, "", (*published.NETWORKS, "lpips", "vgg")),
        limit=options.limit,
        pictures=options.pictures and pathlib.Path(options.pictures),
        journal=rows.Journal(out and out.with_name(f"{out.name}.images.jsonl")),
        say=say,
        all_conventions=options.all_conventions,
    )
    if options.rendered:
        text, document, picture = _trained(options, settings)
    elif options.number:
        text, document, picture = _table(options, settings)
    else:
        lines = tables.overview(settings)
        text = tables.overview_markdown(lines) + "\nrestore-jax tables NUMBER fills one in.\n"
        document, picture = tables.overview_json(lines), None
    if options.markdown:
        atomic.write(pathlib.Path(options.markdown), text.encode())
    if out:
        atomic.write(out, document)
    if options.plot:
        write_photo(options.plot, picture() / 255)
    return text


def _table(options: Options, settings: rows.Options):
    """Return the text of one table, its JSON, and a function that draws it."""
    if options.plot:
        tables.chapter(options.number)
    filling = tables.fill(options.number, settings, options.data[0] if options.data else "", options.size, options.time)
    text = tables.markdown(filling)
    if options.all_conventions:
        text += f"\n{rows.by_convention(filling.rows)}\n"
    return text, tables.as_json(filling), lambda: tables.picture(filling)


def _trained(options: Options, settings: rows.Options):
    """Return the text of the tables whose rows are trained here, their JSON, and None."""
    numbers = tuple((options.only or options.number or ",".join(rendered.NUMBERS)).split(","))
    budget = rendered.Budget(options.steps, options.seeds)
    found = rendered.run(numbers, budget, options.workdir, options.data, options.held_out or "", settings)
    return rendered.markdown(found), rendered.as_json(found), None


def _check(options: Options) -> None:
    """Refuse options that contradict each other."""
    for weights in options.weights:
        if not weights.partition("=")[2]:
            raise InputError(f"--weights {weights}: say whose, as in ours_l1={weights}")
    if options.plot:
        check_matplotlib("--plot")
    for path in (options.json, options.markdown, options.plot):
        if path and pathlib.Path(path).is_dir():
            raise InputError(f"{path}: is a folder, not a file to write to")
    if options.rendered:
        if options.plot or options.time or options.size or options.pictures:
            raise InputError("--rendered: goes with none of --plot, --time, --size and --pictures")
        return
    if options.only or options.held_out:
        raise InputError("--only and --held-out: go with --rendered")
    if len(options.data) > 1:
        raise InputError(f"--data {' '.join(options.data)}: one data set at a time")
    of_one = (options.data, options.plot, options.time, options.size, options.limit, options.pictures)
    if not options.number and any(of_one):
        raise InputError("tables: --data, --limit, --pictures, --plot, --time and --size: give the number of a table")
