"""Published weights on this machine in one step: downloaded, checked, converted, kept, known by name."""

import hashlib
import importlib.util
import itertools
import pathlib
import shutil
from collections.abc import Callable, Iterable

from restore_jax.errors import InputError, install_line
from restore_jax.io import atomic
from restore_jax.weights import archives, conversion, kept, published
from restore_jax.weights.download import Progress, download
from restore_jax.weights.published import Published

_NUMPY = (".npz", ".npy")  # checkpoints that are read without PyTorch


def fetch(
    *names: str,
    source: str | None = None,
    accept_licence: bool = False,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda done, total: None,
) -> list[pathlib.Path]:
    """Fetch published weights, convert them, and keep them under their names in the cache folder.

    Args:
      names: of `published.ROWS`, with or without "-published". Those in one archive share one download.
      source: address or path of a copy of the file, or of the archive that holds it, or a folder of files; None for
        where the release has it. A copy is read and checked even if the weights are kept already.
      accept_licence: that the licences of the releases are accepted, which some must be.
      say: takes lines about what is going on. progress: as of `download`.
    Returns the paths of the safetensors files. Raises InputError.
    """
    rows = [published.row(name) for name in names]
    missing = []
    for row in rows:
        if source is None and kept.find(row.name):
            say(f"{row.name}: fetched before, {kept.find(row.name)}")
            continue
        say(f"{row.name}: licence {row.licence}")
        if row.restricted and not accept_licence:
            raise InputError(f"{row.name}: its licence is {row.licence}; --accept-licence says that you accept it")
        if not row.file.endswith(_NUMPY) and importlib.util.find_spec("torch") is None:
            raise InputError(f"{row.name}: reading {row.file} needs torch: {install_line('convert')}")
        missing.append(row)
    for address, group in itertools.groupby(missing, lambda row: source or _address(row)):
        _fetch_from(address, list(group), accept_licence, say, progress)
    return [path for row in rows if (path := kept.find(row.name))]


def _fetch_from(source: str, rows: list[Published], accepted: bool, say, progress: Progress) -> None:
    # A folder of its own for each address, so that a download that broke off is found again.
    work = kept.folder() / "downloads" / hashlib.sha256(source.encode()).hexdigest()[:16]
    with atomic.locked(work, pathlib.Path(rows[0].name)):
        if "://" in source:
            say(f"downloading {source}")
            file = work / "download"
            download(source, file, progress)
        else:
            file = pathlib.Path(source)
        try:
            for row in rows:
                _convert(row, source, file / row.file if file.is_dir() else file, work, accepted, say)
        finally:
            shutil.rmtree(work, ignore_errors=True)  # what was downloaded may be a pickle: it does not stay


def fetched_or_not() -> Iterable[tuple[str, str, str, str, str]]:
    """List a row for each of the published weights: name, network, licence, check, and whether it is here."""
    for row in published.ROWS:
        checked = f"sha256 {row.sha256[:8]}" if row.sha256 else "pinned at first use"
        licence = f"{row.licence} (to be accepted)" if row.restricted else row.licence
        yield row.name, row.model, licence, checked, "here" if kept.find(row.name) else "-"


def _convert(row: Published, source: str, file: pathlib.Path, work: pathlib.Path, accepted: bool, say) -> None:
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    checkpoint = archives.enter(file, row.file, work, source)
    if checkpoint.parent == work:  # downloaded: messages name it as the release does
        checkpoint = checkpoint.rename(work / row.file)
    digest = kept.check(row.name, checkpoint, row.sha256, row.size)
    checked = "published" if len(row.sha256) == 64 else "published in part" if row.sha256 else "not published"
    say(f"{row.name}: sha256 {digest}, {checked}{'' if checked == 'published' else '; pinned at first use'}")
    try:
        params, about, notes = conversion.read_for(row.model, [checkpoint], **row.options)
    except InputError as error:
        raise InputError(f"{row.name}: {error}") from error
    for note in notes:
        say(note)
    card = {
        "source": source,
        "file": row.file,
        "source_sha256": digest,
        "source_size": checkpoint.stat().st_size,
        "sha256 of the source": checked,
        "licence": row.licence,
        "fetched": kept.today(),
        **({"licence_accepted": kept.today()} if accepted else {}),
        **row.card,
        **about,
    }
    path = kept.keep(row.name, params, row.model, row.options, card)
    say(f"{row.name}: converted, {path}")


def _address(row: Published) -> str:
    """Return where a release has the file; torchvision is asked for its own addresses."""
    package, _, weights = row.url.partition(":")
    if package != "torchvision":
        return row.url
    if importlib.util.find_spec("torchvision") is None:
        raise InputError(f"{row.name}: torchvision knows its address: pip install torchvision, or give --from FILE|URL")
    from torchvision.models import get_weight

    return get_weight(weights).url
