"""Weights on the Hugging Face Hub, "hf://ORG/NAME" or "hf://ORG/NAME@REVISION": one safetensors file and a model card.

They are kept where fetched weights are, and by the same rule: the sha256 must be the one that the Hub publishes; where
it publishes none, the first copy of a commit is pinned.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator

from restore_jax.errors import InputError, install_line
from restore_jax.io import atomic
from restore_jax.version import __version__
from restore_jax.weights import kept
from restore_jax.weights.files import read_safetensors

FILE = "model.safetensors"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")
_LICENCES = ("apache-2.0", "mit", "agpl-3.0", "bsd-3-clause")  # as the Hub names them


def is_address(name) -> bool:
    """Whether a name of weights is an address on the Hub."""
    return str(name).startswith("hf://")


def pull(address: str) -> pathlib.Path:
    """Download weights of this package from the Hub, check them, and keep them under their address.

    An address without a revision gives the newest commit each time. Returns the path of the file. Raises InputError.
    """
    repository, revision = _parsed(address)
    hub, api = _hub(address)
    name = address.replace("://", "/", 1)
    work = kept.folder() / "downloads" / name
    with atomic.locked(work, pathlib.Path(name)):
        with _as_input_errors(address):
            url = hub.hf_hub_url(repository, FILE, revision=revision, endpoint=api.endpoint)
            there = api.get_hf_file_metadata(url=url)
            downloaded = api.hf_hub_download(repository, FILE, revision=there.commit_hash, local_dir=work)
        published = there.etag if re.fullmatch("[0-9a-f]{64}", there.etag or "") else ""
        commit = f"{name.partition('@')[0]}@{there.commit_hash}"
        try:
            digest = kept.check(commit, downloaded, published, there.size)
            header = read_safetensors(downloaded)[1]
            kept.pin(commit, digest, address)
            source = {"source": address, "commit": there.commit_hash, "fetched": kept.today()}
            card = {"model": header["model"], "options": header["options"], **header["card"], **source}
            return kept.move(name, downloaded, card)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def push(path, card: dict, address: str, private: bool = False) -> str:
    """Upload a weights file of this package to the Hub, its card as the model card, and return the commit's address.

    card: what the model card says; "licence", "model" and "limits" stand out. The repository is made if there is none.
    Raises InputError.
    """
    repository, revision = _parsed(address)
    hub, api = _hub(address)
    read_safetensors(path)  # refuses what `pull` would refuse
    operations = [
        hub.CommitOperationAdd(FILE, str(path)),
        hub.CommitOperationAdd("README.md", model_card(card, repository).encode()),
    ]
    with _as_input_errors(address):
        api.create_repo(repository, exist_ok=True, private=private)
        message = f"Upload {card.get('name', repository)} by restore-jax {__version__}"
        return api.create_commit(repository, operations, commit_message=message, revision=revision).commit_url


def model_card(card: dict, repository: str) -> str:
    """Write a card as the Hub shows it: metadata first, then what a reader wants to know."""
    licence = str(card.get("licence", "not stated"))
    known = next((name for name in _LICENCES if licence.lower().startswith(name)), None)
    metadata = {
        "license": known or "other",
        **({} if known else {"license_name": licence}),
        "library_name": "restore-jax",
        "pipeline_tag": "image-to-image",
        "tags": ["jax", "image-restoration", str(card.get("model", "restore-jax"))],
    }
    head = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in metadata.items())
    limits = f"\nLimits: {card['limits']}.\n" if card.get("limits") else ""
    details = json.dumps(card, indent=2, ensure_ascii=False)
    return (
        f"---\n{head}\n---\n\n# {card.get('name', repository)}\n\n"
        f"Weights of `{card.get('model', 'a network')}` for restore_jax.\n\nLicence: {licence}.\n{limits}\n"
        f'```python\nimport restore_jax as rj\n\nrestorer = rj.load("hf://{repository}")\n```\n\n'
        f"```json\n{details}\n```\n"
    )


def _parsed(address: str) -> tuple[str, str | None]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(f"{address}: is not hf://ORG/NAME or hf://ORG/NAME@REVISION")
    return match[1], match[2]


def _hub(address: str):
    """(huggingface_hub, its API at $HF_ENDPOINT or the Hub itself)."""
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(f"{address}: needs huggingface_hub: {install_line('hub')}") from None
    endpoint = os.environ.get("HF_ENDPOINT") or None
    return huggingface_hub, huggingface_hub.HfApi(endpoint, library_name="restore-jax", library_version=__version__)


@contextlib.contextmanager
def _as_input_errors(address: str) -> Iterator[None]:
    """Whatever goes wrong between this machine and the Hub as one line that names the address."""
    try:
        yield
    except Exception as error:
        reasons = [_first_line(cause) for cause in (error, error.__cause__) if cause is not None]
        raise InputError(f"{address}: {': '.join(reasons)}") from error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
