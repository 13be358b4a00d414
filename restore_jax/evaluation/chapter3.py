"""The tables and figures of chapter III, defocus maps: their rows, and the numbers that the dissertation prints."""

import functools
from collections.abc import Sequence

from restore_jax.data.built import records
from restore_jax.errors import InputError
from restore_jax.evaluation.defocus import builder_and_split, measure, open_data
from restore_jax.evaluation.published import required
from restore_jax.evaluation.rows import Options, Outcome, Row, Table


def table(number: str, data: str = "") -> Table:
    """Return a table or figure. Raises InputError if it is to be measured on other data, KeyError if there is none."""
    if data:
        raise InputError(f"table {number}: its rows say which data; leave --data out")
    return TABLES[number]


def own_data(number: str) -> tuple[str, ...]:
    """Return the data sets that a table is of."""
    return tuple(dict.fromkeys(row.data for row in TABLES[number].rows if row.data))


def measured(options: Options, *, data: str, method: str, role: str = "bdcs") -> Outcome:
    """Measure a method on a data set."""
    if role != "bdcs":
        required(options, role)
    return measure(open_data(data), method, options, role)


def collected(options: Options, *, sources: Sequence[str]) -> Outcome:
    """Counts the samples that the built SYNDOF was rendered from, and the rendered outputs."""
    builder, split = builder_and_split("syndof")
    scenes = [scene for source, scene in _scenes(builder, split) if source in sources]
    return Outcome({"samples": len(set(scenes)), "outputs": len(scenes)}, len(scenes))


def _scenes(builder, split):
    """Return (source, scene) of every example; nothing else is decoded."""
    found = records(builder, split, ("source", "scene"))
    return [(record["source"].decode(), record["scene"].decode()) for record in found]


def not_ours(options: Options, *, why: str) -> Outcome:
    """Raise InputError for a row that nothing here computes."""
    raise InputError(why)


def _row(label, data, method, printed=(), role="bdcs"):
    compute = functools.partial(measured, data=data, method=method, role=role)
    return Row(label, dict(printed), compute, role if method == "dmenet" else method, data)


def _errors(mse, mae):
    return {"MSE": mse, "MAE": mae}


def _collection(label, sources, samples, outputs):
    compute = functools.partial(collected, sources=sources)
    return Row(label, {"samples": samples, "outputs": outputs}, compute, data="syndof")


CUHK = "cuhk_blur/train504"
_SOURCES = ("MPI", "SYNTHIA", "Middlebury")
_NO_ESTIMATOR = "no estimator here: the project has none of that paper"

TABLE_3_1 = Table(
    "Table 3.1: the images that SYNDOF is rendered from",
    (
        _collection("MPI", _SOURCES[:1], 1064, 4346),
        _collection("SYNTHIA", _SOURCES[1:2], 896, 3680),
        _collection("Middlebury", _SOURCES[2:], 46, 205),
        _collection("Total", _SOURCES, 2006, 8231),
    ),
    "printed: the dissertation's numbers; which frames it kept as dissimilar is not published",
)
TABLE_3_2 = Table(
    "Table 3.2: errors of defocus maps with and without sharpness calibration",
    (
        _row("SYNDOF, DMENet_BDC", "syndof", "dmenet", _errors(0.015, 0.093), "bdc"),
        _row("SYNDOF, DMENet_BDCS", "syndof", "dmenet", _errors(0.011, 0.072)),
        _row("RTF, DMENet_BDC", "rtf", "dmenet", _errors(0.019, 0.159), "bdc"),
        _row("RTF, DMENet_BDCS", "rtf", "dmenet", _errors(0.012, 0.088)),
    ),
    "printed: the dissertation's numbers, whose convention it does not name. SYNDOF's test split is not published: all "
    "of the built syndof is measured, which must not be what the network was trained on",
)
TABLE_3_3 = Table(
    "Table 3.3: errors of defocus maps on RTF",
    (
        _row("[42] zhuo", "rtf", "zhuo", _errors(0.037, 0.143)),
        _row("[23] jnb", "rtf", "jnb", _errors(0.082, 0.241)),
        Row("[24] D'Andrès et al.", _errors(0.033, 0.106), functools.partial(not_ours, why=_NO_ESTIMATOR)),
        Row("[25] Park et al.", _errors(0.024, 0.129), functools.partial(not_ours, why=_NO_ESTIMATOR)),
        _row("[27] ebdb", "rtf", "ebdb", _errors(0.064, 0.199)),
        _row("DMENet_BDCS", "rtf", "dmenet", _errors(0.012, 0.088)),
    ),
)
FIGURES_3_5_AND_3_6 = Table(
    "Figures 3.5 and 3.6: accuracy, precision and recall on 200 photographs of CUHK",
    (
        _row("[42] zhuo", CUHK, "zhuo"),
        _row("[23] jnb", CUHK, "jnb"),
        Row("[25] Park et al.", {}, functools.partial(not_ours, why=_NO_ESTIMATOR)),
        _row("[27] ebdb", CUHK, "ebdb"),
        _row("DMENet_BDCS", CUHK, "dmenet", {"accuracy": 0.8783, "mAP": 0.987}),
    ),
    "printed: of the released checkpoint (the figures give no numbers); which 200 photographs is not published",
)
TABLES = {"3.1": TABLE_3_1, "3.2": TABLE_3_2, "3.3": TABLE_3_3}
TABLES |= dict.fromkeys(("fig3.5", "fig3.6"), FIGURES_3_5_AND_3_6)
