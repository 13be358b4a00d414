"""The job of measuring methods on data whose truth is known: what `restore-jax evaluate` does."""

import dataclasses
import pathlib
from collections.abc import Callable

from restore_jax.errors import InputError
from restore_jax.evaluation import deblur, defocus, real, rows, vsr
from restore_jax.io import atomic
from restore_jax.io.photos import write_photo
from restore_jax.plots.charts import check_matplotlib, draw_precision_recall

# {subject: (title, its module, the method measured unless told)}
SUBJECTS = {
    "defocus": ("Defocus maps", defocus, "dmenet"),
    "deblur": ("Defocus deblurring", deblur, "ifan"),
    "real": ("Real defocused photographs", real, "ifan"),
    "vsr": ("Video super-resolution", vsr, "refvsr"),
}
ROLES = {"defocus": "bdcs", "vsr": "ours"}  # whose weights are given without a name
LEARNT = ("ifan", "dpdnet", "dmenet")  # methods of deblurring that take weights


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `compare`; `restore-jax evaluate --help` says more.

    subject: one of `SUBJECTS`. data: the name of a dataset, or a folder. methods: none is the subject's own.
    weights: "NAME|FILE", or "METHOD=NAME|FILE" for one of several networks. limit: photographs, or frames of each clip.
    json: a file for the results; the scores of pictures go beside it, and a killed job goes on from them.
    pictures: a folder for what was measured. all_conventions: measure one result under every convention.
    """

    subject: str
    data: str
    methods: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    limit: int | None = None
    json: str | None = None
    pictures: str | None = None
    all_conventions: bool = False


def compare(options: Options, say: Callable[[str], None] = lambda text: None) -> str:
    """Measure, write the files asked for, and return the text of the result. Raises InputError.

    say: is told what is done.
    """
    if not options.data:
        raise InputError(f"evaluate {options.subject}: needs --data NAME|FOLDER")
    if options.json and pathlib.Path(options.json).is_dir():
        raise InputError(f"{options.json}: is a folder, not a file to write to")
    title, subject, method = SUBJECTS[options.subject]
    methods = list(dict.fromkeys(options.methods or [method]))
    out = options.json and pathlib.Path(options.json)
    pictures = options.pictures and pathlib.Path(options.pictures)
    settings = rows.Options(
        weights=rows.weights_by_role(options.weights, *_roles(options.subject, methods)),
        limit=options.limit,
        journal=rows.Journal(out and out.with_name(f"{out.name}.images.jsonl")),
        pictures=pictures,
        say=say,
        all_conventions=options.all_conventions,
    )
    title = f"{title} on {options.data}"
    filled = subject.compare(options.data, methods, settings)
    text = f"{title}\n\n{rows.markdown(filled)}"
    if options.all_conventions:
        text += f"\n\n{rows.by_convention(filled)}"
    if out:
        atomic.write(out, rows.as_json(title, filled))
    if pictures and (curves := defocus.precision_and_recall(filled)):
        path = pictures / "precision_recall.png"
        check_matplotlib(path)
        write_photo(path, draw_precision_recall(curves) / 255)
    return text


def _roles(subject: str, methods: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return whose weights are given without a name, and whose may be given."""
    if subject in ("deblur", "real"):
        own = next((method for method in methods if method in LEARNT), "ifan")
        return own, (*LEARNT, "lpips") if subject == "deblur" else LEARNT
    return ROLES[subject], (ROLES[subject],)
