"""Renders SYNDOF in shards, each of which is a function of the plan and its number alone, so that it can be made again.

A shard is a zip file of examples, each a folder such as `00017` with `image.png`, `sigma.npy`, `blurred.png` and
`example.json`. It is written under another name and moved into place, so that a shard that is there is whole. A job
that is started again renders what is missing.
"""

import concurrent.futures
import hashlib
import io
import json
import multiprocessing
import os
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from data_prep.syndof import lens as lenses
from data_prep.syndof import selection, tree
from data_prep.syndof.example import render
from restore_jax.errors import InputError
from restore_jax.io import atomic

EXAMPLES_A_SHARD = 32
EXAMPLES_A_SAMPLE = 8231 / 2006  # the dissertation's ratio, Table 3.1
PLAN = "plan.json"


class Plan(NamedTuple):
    """Everything that decides what is rendered; `tree_digest` is that of all pairs before selection."""

    sampling: str
    seed: int
    count: int
    tree_digest: str
    pairs: tuple[tree.Pair, ...]

    @property
    def num_shards(self) -> int:
        return -(-self.count // EXAMPLES_A_SHARD)


def make_plan(root: Path, folder: Path, sampling: str, seed: int = 0, count: int | None = None) -> Plan:
    """Read the plan in `folder`, or make it and write it there.

    A new plan selects dissimilar frames, and as many examples a frame as the dissertation has. Raises InputError if
    `folder` holds shards of another plan, or if a file is damaged.
    """
    pairs = tree.pairs(root)
    if not pairs:
        raise InputError(f"{root}: holds no scenes")
    digest = hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
    file = folder / PLAN
    if file.is_file():
        plan = read_plan(folder)
        same = (plan.sampling, plan.seed, plan.tree_digest) == (sampling, seed, digest)
        if not same or count not in (None, plan.count):
            raise InputError(f"{file}: of another tree, sampling, seed or count; remove {folder} to render anew")
        return plan
    try:
        kept = selection.dissimilar(pairs, reader(root))
    except ValueError as error:
        raise InputError(f"{root}: {error}") from error
    plan = Plan(sampling, seed, count or max(1, round(EXAMPLES_A_SAMPLE * len(kept))), digest, tuple(kept))
    atomic.write(file, (json.dumps(plan._asdict(), indent=1) + "\n").encode())
    return plan


def read_plan(folder: Path) -> Plan:
    """Read the plan of `folder`. Raises InputError."""
    return parse_plan((folder / PLAN).read_bytes(), str(folder / PLAN))


def parse_plan(data: bytes, name: str) -> Plan:
    """Parse a plan from the bytes of its file; `name` stands in errors. Raises InputError."""
    try:
        said = json.loads(data)
        return Plan(**{**said, "pairs": tuple(tree.Pair(*pair) for pair in said["pairs"])})
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{name}: not a plan of SYNDOF: {error}") from error


def reader(root: Path) -> Callable[[str], bytes]:
    """Return a function that reads a tree's files by their place below its root."""
    return lambda place: (root / place).read_bytes()


def shard_name(plan: Plan, number: int) -> str:
    """Return the name of a shard's file."""
    return f"shard-{number:05}-of-{plan.num_shards:05}.zip"


def examples(plan: Plan, number: int, read: Callable[[str], bytes]) -> Iterator[tuple[str, dict]]:
    """Render each example of a shard, (index, {file: bytes}); the result depends on the arguments alone."""
    for index in range(number * EXAMPLES_A_SHARD, min(plan.count, (number + 1) * EXAMPLES_A_SHARD)):
        rng = lenses.generator(plan.seed, index)
        pair = plan.pairs[int(rng.integers(len(plan.pairs)))]
        image, depth = tree.read_pair(pair, read)
        try:
            lens = lenses.sample(plan.sampling, rng, depth)
        except ValueError as error:
            raise ValueError(f"{pair.depth}: {error}") from error
        found = render(image.astype(np.float32) / 255, depth, lens)
        said = {"scene": pair.name, "source": pair.source, "index": index, "lens": lens._asdict()}
        yield (
            f"{index:05}",
            {
                "image.png": _png(np.round(255 * found.image).astype(np.uint8)),
                "sigma.npy": _npy(found.sigma),
                "blurred.png": _png(255 * found.blurred[..., None].astype(np.uint8)),
                "example.json": json.dumps(said).encode(),
            },
        )


def shard(plan: Plan, number: int, read: Callable[[str], bytes]) -> bytes:
    """Render a shard as the bytes of its file, which are the same each time. Raises ValueError."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index, files in examples(plan, number, read):
            for name, data in files.items():
                kind = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
                archive.writestr(zipfile.ZipInfo(f"{index}/{name}"), data, kind)  # ZipInfo: no time of writing
    return buffer.getvalue()


def missing(plan: Plan, folder: Path) -> list[int]:
    """Return the numbers of the shards that are not there yet."""
    return [number for number in range(plan.num_shards) if not (folder / shard_name(plan, number)).is_file()]


def write_shard(plan: Plan, root: Path, folder: Path, number: int) -> Path:
    """Render a shard into its place, unless it is there. Raises InputError."""
    path = folder / shard_name(plan, number)
    if not path.is_file():
        try:
            data = shard(plan, number, reader(root))
        except (ValueError, OSError) as error:
            raise InputError(f"{root}: {error}") from error
        atomic.write(path, data)
    return path


def write_shards(plan: Plan, root: Path, folder: Path, workers: int | None = None) -> list[Path]:
    """Render the missing shards in `workers` processes (default: one a core); returns all paths. Raises InputError."""
    from tqdm import tqdm

    numbers = missing(plan, folder)
    workers = min(workers or len(os.sched_getaffinity(0)), len(numbers))
    render = partial(write_shard, plan, root, folder)
    progress = partial(tqdm, total=len(numbers), desc="rendering", unit="shard", disable=None)
    if workers > 1:
        context = multiprocessing.get_context("spawn")  # JAX does not survive a fork
        with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
            list(progress(pool.map(render, numbers)))
    else:
        list(progress(map(render, numbers)))
    return [folder / shard_name(plan, number) for number in range(plan.num_shards)]


def read_shard(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield (index, {file: bytes}) of each example of a finished shard."""
    with zipfile.ZipFile(path) as archive:
        found: dict[str, dict[str, bytes]] = {}
        for name in archive.namelist():
            index, _, file = name.partition("/")
            found.setdefault(index, {})[file] = archive.read(name)
    yield from found.items()


def _png(image):
    done, data = cv2.imencode(".png", image[..., ::-1])
    assert done
    return data.tobytes()


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
