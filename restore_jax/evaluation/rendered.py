"""The dissertation's claims on data that anyone can have: its rows, trained at one small budget on rendered data.

Deblurring is trained on photographs whose defocus is rendered (Tables 4.1, 4.2 and 4.7), and video super-resolution on
clips that a virtual triple camera films of photographs (5.2, 5.3 and 6.1). Without photographs both train on drawn
pictures. All are measured on the same held-out photographs, which are never trained on. Networks have a quarter of the
published widths and fewer blocks. Trained weights are kept in the workdir under a digest of their config, so that the
same command continues where it was stopped, and nothing is trained twice.
"""

import contextlib
import hashlib
import json
import math
import pathlib
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import jax
import numpy as np
import skimage.data

from restore_jax import models, train
from restore_jax.bench.report import machine
from restore_jax.errors import InputError
from restore_jax.evaluation import published, tables
from restore_jax.evaluation import rows as evaluate
from restore_jax.evaluation.rows import Options
from restore_jax.io.finding import find_photos
from restore_jax.io.photos import from_float, read_photo, write_photo
from restore_jax.tasks import deblur
from restore_jax.train.config import load_config
from restore_jax.version import __version__
from restore_jax.weights.files import save

NUMBERS = ("4.1", "4.2", "4.7", "5.2", "5.3", "6.1")
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")  # scikit-image's, which are measured on by default
SIDE, SCENES = 192, 2  # side of a held-out pair in pixels, and number of pairs rendered from a photograph
FRAMES = 5  # number of frames of a held-out clip
METRIC = "PSNR"
NOTES = {
    "4": "Networks have a quarter of the published widths.",
    "5": "12 channels and 5 blocks, windows of 3 frames in training and of 7 in measuring; flow by spynet-rendered, "
    "held still. The fidelity and contextual losses see features of a VGG19 with {vgg} weights.",
    "6": "A quarter of the published widths, 5 blocks, a memory of k 32, b 64, m 128; flow by spynet-rendered, held "
    "still. Rows with memory go on from their backbone's weights, as in the dissertation: they see twice the steps.",
}


@dataclass(frozen=True)
class Budget:
    """The steps of each training, and the number of seeds that each row is trained with."""

    steps: int = 200
    seeds: int = 2


@dataclass(frozen=True)
class Claims:
    """A trained table. rows: (label, {column: a value for each seed}, {column: printed number})."""

    number: str
    title: str
    rows: Sequence[tuple[str, Mapping[str, Sequence[float]], Mapping[str, float]]]
    note: str = ""


@dataclass(frozen=True)
class Found:
    """All trained tables, and facts about their data, machine and time."""

    claims: Sequence[Claims]
    budget: Budget
    facts: Mapping[str, str] = field(default_factory=dict)


def run(
    numbers: Sequence[str], budget: Budget, workdir, photos: Sequence[str], held_out: str, options: Options
) -> Found:
    """Train the rows of tables that are not trained yet, and measure all.

    photos: folders to train on; without any, pictures are drawn. held_out: a folder of photographs to measure on, ""
    for scikit-image's. options.weights["vgg"]: weights of VGG19; without them drawn ones are used. Raises InputError,
    and KeyboardInterrupt if told to stop.
    """
    for number in numbers:
        if number not in NUMBERS:
            raise InputError(f"--only {number}: what can be trained is {', '.join(NUMBERS)}")
    for folder in (*photos, *filter(None, (held_out,))):
        if not pathlib.Path(folder).is_dir():
            raise InputError(f"{folder}: no such folder")
    workdir, began = pathlib.Path(workdir), time.monotonic()
    held = held_out_pictures(workdir, held_out)
    claims = []
    for number in numbers:
        by_seed = []
        for seed in range(budget.seeds):
            weights = dict(options.weights)
            for row in tables.open_table(number, str(held / "pairs")).rows:
                role = row.role.partition("+")[0]
                if role in published.NETWORKS and role not in (*weights, *published.DEFOCUS):
                    weights[role] = str(trained(role, seed, budget, workdir, photos, options))
            data = held / ("pairs" if number[0] == "4" else "photos")
            table = tables.open_table(number, str(data))
            limit = options.limit or (None if number[0] == "4" else FRAMES)
            journal = evaluate.Journal(workdir / "scores.jsonl")
            by_seed.append(evaluate.fill(table, replace(options, weights=weights, limit=limit, journal=journal)))
        claims.append(_claims(number, by_seed, "given" if "vgg" in options.weights else "drawn"))
    facts = {
        "trained on": ", ".join(map(str, photos)) or "drawn pictures (dead leaves)",
        "measured on": held_out or f"scikit-image's {', '.join(PHOTOGRAPHS)}",
        "restore_jax": __version__,
        "machine": "{device}, {cpu}, {cores} cores, jax {jax}".format(**machine()),
        "took": f"{(time.monotonic() - began) / 60:.0f} minutes, without the trainings of earlier runs",
    }
    return Found(claims, budget, facts)


# ------------------------------------------------------------------------------------------------------------ training
def trained(role: str, seed: int, budget: Budget, workdir: pathlib.Path, photos, options: Options) -> pathlib.Path:
    """Return the weights file of a role; train it if it is not there, a network with memory after its backbone."""
    backbone = ""
    if role in published.REMEMBERING:
        backbone = str(trained(role.removesuffix("_memory"), seed, budget, workdir, photos, options))
    config = budgeted(role, seed, budget.steps, photos)
    with config.unlocked():
        if "vgg" in config:
            config.vgg = options.weights.get("vgg") or str(drawn_vgg(workdir))
        if backbone:
            config.backbone = backbone
    folder = workdir / f"{role}-{seed}-{hashlib.sha256(config.to_json(sort_keys=True).encode()).hexdigest()[:8]}"
    path = folder / "final.safetensors"
    if not path.exists():
        options.say(f"training {role}, seed {seed}, {budget.steps} steps in {folder}")
        with contextlib.redirect_stdout(sys.stderr):
            if train.train(config, folder) is None:
                raise KeyboardInterrupt
        jax.clear_caches()
    return path


def budgeted(role: str, seed: int, steps: int, photos: Sequence[str]):
    """Return the small and short config of a role's training, equal for all rows but for the row's subject."""
    network = published.NETWORKS[role]
    file, _, variant = network.config.partition(":")
    kind = "rendered" if role in published.DEBLUR else "virtual"
    config = load_config(f"configs/{file}:{','.join(filter(None, (variant, kind)))}")
    with config.unlocked():
        config.seed, config.total_steps, config.remat = seed, steps, False
        config.log_every, config.checkpoint_every, config.keep_checkpoints = max(1, steps // 5), max(50, steps // 2), 1
        config.ema_decay = 1 - 1 / max(2, steps // 20)  # the mean of the last twentieth of the steps
        config.evaluation.every = 0
        config.optim.update({"name": "muon", "rate": 4e-3, "final_rate": 4e-5, "weight_decay": 0.01, "clip": 1.0})
        config.optim.update({"schedule": "cosine", "warmup_steps": min(20, steps // 4), "skip_nonfinite": 20})
        if photos:
            config.data.folders = tuple(map(str, photos))
        else:
            config.data.update({"source": "dead_leaves", "folders": ()})
        config.data.update({"workers": 0, "cache_mb": 1024})
        (_small_deblur if kind == "rendered" else _small_video)(config)
    return config


def _small_deblur(config):
    config.data.update({"size": 64, "margin": 8, "batch_size": 4})
    config.render.update({"min_coc": 4.0, "max_coc": 14, "num_layers": 14})
    config.model.options.width //= 4
    if config.model.name == "ifan":  # trained like ifan-small; otherwise so few steps leave the input unchanged
        config.model.options.output_leak, config.init = None, "identity_filters"


def _small_video(config):
    config.data.update({"size": 16, "batch_size": 2, "num_frames": 3, "margin": 0})
    config.data.shift = min(2.0, config.data.shift)
    config.spynet = "spynet-rendered" if config.model.name != "edvr" else ""
    options = config.model.options
    for name in {"mid_channels", "num_feat"} & set(options):
        options[name] //= 4
    for name, most in {"num_blocks": 5, "num_extract_blocks": 2, "num_reconstruct_blocks": 5, "num_frames": 3}.items():
        if name in options:
            options[name] = min(most, options[name])
    if config.model.name == "basicvsr":
        options.train_flow = False
    if "memory" in options:
        options.memory.update({"keys": 32, "basis": 64, "size": 128})


def drawn_vgg(workdir: pathlib.Path) -> pathlib.Path:
    """Write a VGG19 with drawn weights (He's initialisation, always the same), whose features losses can compare."""
    path = workdir / "vgg19_drawn.safetensors"
    if not path.exists():
        rng = np.random.default_rng(19)

        def drawn(leaf):
            scale = math.sqrt(2 / math.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.0
            return (scale * rng.normal(size=leaf.shape)).astype(np.float16)

        params = jax.tree.map(drawn, models.variable_shapes(models.create("vgg19")))
        save(path, params, "vgg19", {}, {"licence": "drawn numbers"})
    return path


# ------------------------------------------------------------------------------------------------------------ held out
def held_out_pictures(workdir: pathlib.Path, folder: str) -> pathlib.Path:
    """Return a folder with photos/, for the virtual camera, and pairs/ of rendered defocus; make it if need be."""
    if folder:
        pictures = {path.stem: from_float(read_photo(path).pixels, np.uint8) for path in find_photos([folder])}
    else:
        pictures = {name: getattr(skimage.data, name)() for name in PHOTOGRAPHS}
    name = hashlib.sha256(repr([(key, evaluate.digest(value)) for key, value in pictures.items()]).encode())
    place = workdir / f"held_out-{name.hexdigest()[:8]}"
    whole = place / "whole"  # written last
    if not whole.exists():
        for stem, picture in pictures.items():
            write_photo(place / "photos" / f"{stem}.png", picture / np.float32(255))
            for number, views in enumerate(_rendered(stem, picture)):
                for view, pixels in views.items():
                    write_photo(place / "pairs" / view / f"{stem}_{number}.png", pixels)
        whole.write_text("")
    return place


def _rendered(stem, picture):
    """Render pairs {view: (SIDE, SIDE, 3) float32} of a picture's middle, in random scenes that its name seeds."""
    config = budgeted("ifan", 0, 1, ())
    side = SIDE + 2 * config.data.margin
    height, width = picture.shape[:2]
    if min(height, width) < side:
        raise InputError(f"{stem}: {width}x{height} is too small; {side} pixels a side are needed")
    top, left = (height - side) // 2, (width - side) // 2
    sharp = np.ascontiguousarray(picture[top : top + side, left : left + side])
    render = jax.jit(lambda image, key: deblur.evaluation_inputs({"sharp": image}, key, config))
    seed = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:4])
    for number in range(SCENES):
        yield jax.tree.map(np.asarray, render(sharp, jax.random.key(seed + number)))


# ------------------------------------------------------------------------------------------------------------- showing
def _claims(number, by_seed, vgg) -> Claims:
    """Collect the scores of each row by seeds. Raises InputError if a row could not be measured."""
    rows = []
    for filled in zip(*by_seed, strict=True):
        for row in filled:
            if row.outcome is None:
                raise InputError(f"table {number}, {row.label}: {row.missing}")
        columns = filled[0].outcome.values
        values = {column: [row.outcome.values[column] for row in filled] for column in columns}
        rows.append((filled[0].label, values, filled[0].printed))
    title = tables.open_table(number).title
    return Claims(number, title, rows, NOTES[number[0]].format(vgg=vgg))


def agreement(claims: Claims) -> tuple[int, int, int, int]:
    """Count pairs of rows, and how many are in the printed order.

    Returns the number of pairs, of those in order, of those that differ by more than their spread, and of these in
    order. Only rows whose printed numbers differ are paired. The spread of a pair is the root of the sum of the two
    variances over seeds.
    """
    scored = [(*_mean_and_spread(_main(values)), printed[METRIC]) for _, values, printed in claims.rows]
    pairs = ordered = clear = clear_ordered = 0
    for i, (mean, spread, printed) in enumerate(scored):
        for other_mean, other_spread, other_printed in scored[:i]:
            if printed == other_printed:
                continue
            right = (mean - other_mean) * (printed - other_printed) > 0
            is_clear = abs(mean - other_mean) > math.hypot(spread, other_spread)
            pairs, ordered = pairs + 1, ordered + right
            clear, clear_ordered = clear + is_clear, clear_ordered + (is_clear and right)
    return pairs, ordered, clear, clear_ordered


def _main(values):
    """Return the values, by seed, of the metric that orders the rows."""
    return next(found for column, found in values.items() if column.split(" [")[0] == METRIC)


def _mean_and_spread(values) -> tuple[float, float]:
    """Return mean and sample standard deviation, which is 0 for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _places(numbers) -> list[int]:
    """Rank numbers; the largest has place 1."""
    return [1 + sum(other > number for other in numbers) for number in numbers]


def markdown(found: Found) -> str:
    """Format the trained tables as a page of Markdown."""
    budget = found.budget
    lines = ["# The dissertation's claims, on rendered data", "", *(f"- {k}: {v}" for k, v in found.facts.items())]
    lines += [
        f"- budget: {budget.steps} steps of each training, {budget.seeds} seeds; values are means, ± the standard "
        "deviation over seeds",
        "",
        "The numbers are of small networks, trained shortly: only their order is to be compared with the printed one.",
    ]
    for claims in found.claims:
        lines += ["", f"## {claims.title}", "", claims.note, "", *_rows(claims), "", _verdict(claims)]
    return "\n".join(lines) + "\n"


def _rows(claims):
    others = [column for column in claims.rows[0][1] if column.split(" [")[0] in ("SSIM", "MAE")]
    head = ["", "parameters", METRIC, "by seed", *others, "place", f"{METRIC} printed", "place printed"]
    ours = _places([_mean_and_spread(_main(values))[0] for _, values, _ in claims.rows])
    theirs = _places([printed[METRIC] for *_, printed in claims.rows])
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for (label, values, printed), place, wanted in zip(claims.rows, ours, theirs, strict=True):
        scores = _main(values)
        more = (_shown(values[column], 4) for column in others)
        by_seed = ", ".join(f"{score:.2f}" for score in scores)
        parameters = f"{1e6 * values['params (M)'][0]:,.0f}" if "params (M)" in values else "-"
        placed = (str(place), f"{printed[METRIC]:.2f}", str(wanted))
        lines.append([label, parameters, _shown(scores, 2), by_seed, *more, *placed])
    return evaluate.as_lines(lines).split("\n")


def _shown(values, digits):
    mean, spread = _mean_and_spread(values)
    return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if len(values) > 1 else "")


def _verdict(claims):
    pairs, ordered, clear, clear_ordered = agreement(claims)
    by = "the standard deviations over seeds" if len(_main(claims.rows[0][1])) > 1 else "nothing (one seed)"
    return (
        f"{ordered} of {pairs} pairs of rows are in the printed order; of the {clear} that differ by more than {by}, "
        f"{clear_ordered} are."
    )


def as_json(found: Found) -> bytes:
    """Format the trained tables as JSON."""
    document = {"facts": dict(found.facts), "steps": found.budget.steps, "seeds": found.budget.seeds, "tables": []}
    for claims in found.claims:
        rows = [
            {"label": label, "values": dict(values), "printed": dict(printed)} for label, values, printed in claims.rows
        ]
        names = ("pairs", "ordered", "clear", "clear_ordered")
        agreed = dict(zip(names, agreement(claims), strict=True))
        document["tables"].append(
            {"number": claims.number, "title": claims.title, "note": claims.note, "rows": rows, "agreement": agreed}
        )
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
