"""The jobs on photograph files: deblur them, write their defocus maps, magnify their blur, order them by depth.

Each is what the verb of its name does, for the command line and for Python: a frozen dataclass says what is wanted, a
reporter is told what is done.
"""

import dataclasses
import os
import pathlib
import time
from typing import Any

from restore_jax import defocus, io, restore, weights
from restore_jax.cache import enable_compilation_cache
from restore_jax.deblurring import checked_strength, deblurred
from restore_jax.errors import InputError
from restore_jax.io import finding, naming
from restore_jax.io.photos import STANDARD
from restore_jax.plots.panels import side_by_side
from restore_jax.report import Report, Reporter

ENDINGS = ("_deblurred", "_compare")  # what `deblur_files` appends to names, and does not take as input in a folder


# -------------------------------------------------------------------------------------------------------------- deblur
@dataclasses.dataclass(frozen=True)
class DeblurOptions:
    """The inputs, method and outputs of `deblur_files`. `restore-jax deblur --help` says more.

    photos: files, folders or glob patterns. out: a file, a folder for several photos, or None for beside each photo.
    weights: a name or a file. left, right: files of dual-pixel views, for weights made for them.
    method: "network", or "deconv" by the defocus map `map` (None: estimated), `data_weight` more is sharper.
    strength: how much of the network's answer is taken, as `deblurring.deblur`; of method "network" alone.
    compare: write photo and result in a row too. tile, dtype: as `deblurring.deblur`.
    """

    photos: tuple[str, ...]
    out: str | None = None
    weights: str = "ifan"
    left: str | None = None
    right: str | None = None
    method: str = "network"
    map: str | None = None
    data_weight: float = 420.0
    strength: float | str | None = None
    compare: bool = False
    tile: str | int = "auto"
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of `deblur_files`: files written, a line for each photo that failed, number of photos tried."""

    written: list[pathlib.Path]
    failures: list[str]
    total: int


def deblur_files(options: DeblurOptions, reporter: Reporter | None = None) -> Outcome:
    """Restore photographs and write them, each whole or not at all; one that fails leaves the others alone.

    Raises InputError for options that contradict each other, for weights that cannot be used, and if nothing can be
    written.
    """
    reporter = reporter or Report(quiet=True)
    if (options.left is None) != (options.right is None):
        raise InputError("--left and --right: dual-pixel views come in pairs, give both")
    photos, skipped, others = _photos(options.photos)
    several = len(photos) > 1 or pathlib.Path(options.photos[0]).is_dir()
    if several and options.left is not None:
        raise InputError("--left and --right: belong to one photo, give just one")
    if options.map is not None and (several or options.method != "deconv"):
        raise InputError(f"{options.map}: --map belongs to one photo and --method deconv")
    if options.strength is not None:
        checked_strength(options.strength)
        if options.method != "network":
            raise InputError("--strength: belongs to --method network")
    kinds, jobs, failures, written = {}, [], [], []
    for photo in photos:
        try:
            kinds[photo] = io.identify(photo)
        except InputError as error:
            failures.append(str(error))
    for job in _jobs(kinds, options.out, options.compare, several):
        try:
            for path in filter(None, job[1:]):
                io.check_writable(path)
            jobs.append(job)
        except InputError as error:
            failures.append(str(error))
    if not jobs:
        raise InputError(failures[0])

    for line in others:
        reporter.done(line)
    if skipped:
        reporter.done(f"skipping {skipped} earlier results (*{ENDINGS[0]}, *{ENDINGS[1]})")
    try:
        restorer = None if options.method == "deconv" else _restorer(options, reporter)
        for number, (photo, output, comparison) in enumerate(jobs, 1):
            reporter.photo(photo.name, number, len(jobs))
            try:
                written += _deblur_file(options, reporter, restorer, photo, output, comparison)
            except InputError as error:
                failures.append(str(error))
    finally:
        reporter.clear()
    return Outcome(written, failures, len(photos))


def _photos(arguments) -> tuple[list[pathlib.Path], int, list[str]]:
    """Return the photos that the arguments stand for, how many earlier results were left out, and lines on the rest."""
    named = {pathlib.Path(argument).resolve() for argument in arguments}
    everything, others = finding.sorted_out(arguments)

    def is_result(path):
        original = path.with_name(path.stem.removesuffix(ENDINGS[0]).removesuffix(ENDINGS[1]) + path.suffix)
        return path.stem.endswith(ENDINGS) and (path.resolve() not in named or original in everything)

    photos = [path for path in everything if not is_result(path)]
    if not photos:
        raise InputError(f"{arguments[0]}: holds no photos besides earlier results")
    return photos, len(everything) - len(photos), others


def _jobs(kinds: dict[pathlib.Path, str], out: str | None, compare: bool, several: bool) -> list[tuple]:
    """Return (photo, output, comparison or None) for each photo, by its format. InputError if a file would be lost."""
    if out == STANDARD and (several or compare):
        raise InputError(f"{out}: standard output takes one result; give {'a folder' if several else 'a file'}")
    folder = out is not None and (several or out.endswith(("/", os.sep)) or pathlib.Path(out).is_dir())
    if several and folder and not pathlib.Path(out).is_dir() and pathlib.Path(out).suffix.lower() in io.FORMATS:
        raise InputError(f"{out}: one file, but several photos: give a folder")
    jobs, taken = [], {}
    originals = {photo.resolve() for photo in kinds}
    for photo, kind in kinds.items():
        comparison = None
        if out is None or folder:
            parent = pathlib.Path(out) if folder else None
            output = naming.result_path(photo, ENDINGS[0], kind, parent)
            if compare and os.fspath(output) == STANDARD:
                raise InputError(f"{output}: standard output takes one result; give a file")
            comparison = naming.result_path(photo, ENDINGS[1], kind, parent) if compare else None
        else:
            output = pathlib.Path(out)
            if not output.suffix and out != STANDARD:
                ending = io.output_suffix(photo, kind)
                raise InputError(f"{out}: needs an ending such as {ending}, or / at the end for a folder")
            if compare:
                stem = naming.shortened(output.stem, ENDINGS[1] + output.suffix)
                comparison = output.with_name(f"{stem}{ENDINGS[1]}{output.suffix}")
        for path in filter(None, (output, comparison)):
            if os.fspath(path) != STANDARD and path.resolve() in originals:
                raise InputError(f"{path}: is an input and would be overwritten; choose another -o")
            if path.resolve() in taken:
                raise InputError(f"{path}: both {taken[path.resolve()]} and {photo} would be written there")
            taken[path.resolve()] = photo
        jobs.append((photo, output, comparison))
    return jobs


def _restorer(options: DeblurOptions, reporter: Reporter):
    """Load the weights. Raises InputError if they do not fit the views that are given."""
    reporter.status(f"loading weights {options.weights}")
    restore.plan(restore.MIN_SIDE, restore.MIN_SIDE, options.tile)  # refuses an unusable --tile
    enable_compilation_cache()
    restorer = weights.load(options.weights, "deblur")
    dual = restore.needs_views(restorer.model)
    if options.left and not dual:
        raise InputError(f"{options.weights}: weights for single photos, they cannot use --left and --right")
    if dual and not options.left:
        raise InputError(f"{options.weights}: weights for dual-pixel photos, they need --left and --right")
    return restorer


def _deblur_file(options, reporter, restorer, photo, output, comparison) -> list[pathlib.Path]:
    """Restore one photo and write it, and its comparison if that is a path; return the files written."""
    began = time.monotonic()
    picture = io.read_photo(photo)
    if restorer is None:
        result = defocus.deconvolved(photo, picture.pixels, options.map, options.data_weight, reporter)
    else:
        views = {"left": options.left, "right": options.right}
        views = {name: io.read_photo(path).pixels for name, path in views.items() if path}
        how = {"views": views, "tile": options.tile, "dtype": options.dtype, "progress": reporter.progress}
        try:
            result, note = deblurred(restorer, picture.pixels, options.strength, **how)
        except InputError as error:
            raise InputError(f"{photo}: {error}") from None
        if note:
            reporter.done(f"{photo}: {note}")
    reporter.status("writing")
    gone = io.write_photo(output, result, like=picture)
    height, width = result.shape[:2]
    reporter.done(f"{output}  {width}x{height}, {time.monotonic() - began:.1f} s")
    for line in naming.remarks(output, gone, photo, picture.format):
        reporter.done(line)
    if comparison is None:
        return [output]
    alpha = None if picture.alpha is None else side_by_side(picture.alpha, picture.alpha)
    pair = side_by_side(picture.pixels, result)
    extras = {**picture.extras, "items": ()}  # which lie on the picture alone
    io.write_photo(comparison, pair, like=dataclasses.replace(picture, alpha=alpha, samples=None, extras=extras))
    reporter.done(f"{comparison}")
    return [output, comparison]


# -------------------------------------------------------------------------------------------------------- defocus maps
@dataclasses.dataclass(frozen=True)
class MapOptions:
    """A photograph, where to write what is made of it (None: beside it), and its defocus map.

    map: a file that `defocus_file` wrote; None estimates it by `method`, with `weights` where that is "dmenet".
    """

    photo: str
    out: str | None = None
    map: str | None = None
    method: str = "dmenet"
    weights: Any = "dmenet"


def defocus_file(options: MapOptions, reporter: Reporter | None = None) -> list[pathlib.Path]:
    """Write the defocus map of a photograph, and a picture of it; return both files. Raises InputError."""
    reporter = reporter or Report(quiet=True)
    out = _map_file(options, "_defocus", (".png", ".npy"))
    colours = out.with_name(f"{out.stem}_colours.png")
    _keep_input(options.photo, out, colours)
    _, sigma = _photo_and_map(options, reporter)
    defocus.write_map(out, sigma)
    defocus.write_colours(colours, sigma)
    reporter.done(f"{out}  sigma {sigma.min():.2f} to {sigma.max():.2f} px")
    reporter.done(f"{colours}")
    return [out, colours]


def magnify_file(options: MapOptions, scale: float = 4.0, reporter: Reporter | None = None) -> pathlib.Path:
    """Write a photograph with `scale` times as much blur where it is out of focus; return the file.

    Raises InputError.
    """
    reporter = reporter or Report(quiet=True)
    photo = pathlib.Path(options.photo)
    kind = io.identify(photo)
    out = pathlib.Path(options.out) if options.out else naming.result_path(photo, "_magnified", kind)
    io.check_writable(out)
    _keep_input(photo, out)
    picture, sigma = _photo_and_map(options, reporter)
    gone = io.write_photo(out, defocus.magnify(picture.pixels, sigma, scale), like=picture)
    reporter.done(f"{out}")
    for line in naming.remarks(out, gone, photo, kind):
        reporter.done(line)
    return out


def depth_file(options: MapOptions, focus: str = "near", reporter: Reporter | None = None) -> pathlib.Path:
    """Write the order in depth of a photograph's pixels, near is dark; return the file.

    focus: whether the "near" or the "far" end is in focus. Raises InputError.
    """
    reporter = reporter or Report(quiet=True)
    if focus not in ("near", "far"):
        raise InputError(f"--focus {focus!r} is near or far")
    out = _map_file(options, "_depth", (".png",))
    _keep_input(options.photo, out)
    _, sigma = _photo_and_map(options, reporter)
    defocus.write_map(out, defocus.pseudo_depth(sigma, focus) * (65535 / defocus.STEPS_PER_PIXEL))  # all 16 bits
    reporter.done(f"{out}")
    return out


def _map_file(options: MapOptions, ending: str, suffixes: tuple[str, ...]) -> pathlib.Path:
    photo = pathlib.Path(options.photo)
    stem = naming.shortened(photo.stem, ending + "_colours.png")
    out = pathlib.Path(options.out) if options.out else photo.with_name(f"{stem}{ending}.png")
    if out.suffix not in suffixes:
        raise InputError(f"{out}: a map is written as {' or '.join(suffixes)}")
    return out


def _keep_input(photo, *outputs: pathlib.Path) -> None:
    files = [out.resolve() for out in outputs if os.fspath(out) != STANDARD]
    if pathlib.Path(photo).resolve() in files:
        raise InputError(f"{photo}: is the input and would be overwritten; choose another -o")


def _photo_and_map(options: MapOptions, reporter: Reporter):
    """Return the photo, and sigma of each of its pixels, read or estimated."""
    reporter.photo(pathlib.Path(options.photo).name)
    try:
        picture = io.read_photo(options.photo)
        sigma = defocus.map_for(
            options.photo, picture.pixels, options.map, options.method, options.weights, reporter.progress
        )
    finally:
        reporter.clear()
    return picture, sigma
