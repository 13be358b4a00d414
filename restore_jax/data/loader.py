"""Batches, by Grain. The content of batch number `step` is a pure function of (source, seed, step).

So a run that is restarted at any step, with any number of processes and workers, sees the batches it would have seen.
The whole run is one endless sequence of examples, each epoch shuffled anew; batch `step` is examples step * B to
(step + 1) * B of it, and process p of P makes the p-th of P equal parts of the batch.
"""

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
from absl import flags

from restore_jax.data.transforms import evaluation_example, training_example
from restore_jax.errors import InputError, install_line

try:
    import grain
except ImportError as error:
    raise InputError(f"training needs Grain: {install_line('data')}") from error

THREADS, AHEAD = 4, 4  # threads that read in a process, and batches that they read ahead
ENDLESS = 2**40  # examples; Grain's own endless repeat overflows in batches of one example


def training_batches(
    source, data, seed: int, first: int, process: int = 0, processes: int = 1, keep: Callable = training_example
) -> Iterator[dict[str, np.ndarray]]:
    """Yield this process's part of each batch from number `first` on: {view: (b, size, size, 3)}. Close it when done.

    data: config.data. data.batch_size counts all processes together; data.workers is the number of processes that read
    (0: threads of this one). Raises ValueError if the processes do not divide the batch.
    """
    part = _part(data.batch_size, processes)
    rows = grain.MapDataset.source(source).seed(seed).shuffle().repeat(ENDLESS // len(source))
    rows = rows.random_map(functools.partial(_transformed, keep=keep, data=data))
    batches = rows.batch(part)[first * processes + process :: processes]
    return _iterate(batches, data.workers)


def merged(iterators) -> Iterator[dict[str, np.ndarray]]:
    """Merge the views of several iterators' batches into one batch; closes the iterators at the end."""
    try:
        for batches in zip(*iterators, strict=True):
            yield {view: rows for batch in batches for view, rows in batch.items()}
    finally:
        for iterator in iterators:
            iterator.close()


def evaluation_batches(source, data, process: int = 0, processes: int = 1) -> Iterator[dict[str, np.ndarray]]:
    """Yield every example once, in order: this process's part of each batch.

    The last batch is filled up with copies. Besides its views a batch has "index" (b,) int32, the example's number, and
    "mask" (b,) bool, False for copies. data.size 0 takes whole pictures, which must have one size.
    """
    part = _part(data.batch_size, processes)
    first = evaluation_example(source[0], data)
    count = -(-len(source) // data.batch_size) * data.batch_size

    def example(row):
        index = min(row, len(source) - 1)
        views = evaluation_example(source[index], data)
        for view, picture in views.items():
            if picture.shape != first[view].shape:
                raise InputError(
                    f"evaluation: picture {index} differs in size from the first: give evaluation.data.size"
                )
        return {**views, "index": np.int32(index), "mask": np.bool_(row < len(source))}

    batches = grain.MapDataset.range(count).map(example).batch(part)[process::processes]
    return _iterate(batches, 0)


def _transformed(example, rng, keep, data):
    return keep(example, rng, data)


def _part(batch_size, processes):
    if batch_size % processes:
        raise ValueError(f"data.batch_size={batch_size} does not divide by {processes} processes")
    return batch_size // processes


def _iterate(batches, workers):
    rows = batches.to_iter_dataset(grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=AHEAD))
    if workers:
        # Grain reads its settings from absl's flags, which raise until they have been parsed.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        rows = rows.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers), _begin_worker)
    rows = iter(rows)
    try:
        yield from rows
    finally:
        rows.close()


def _begin_worker(index, count):
    """Ignore Ctrl-C and SIGTERM in a reading process: the process that trains handles them and stops the others."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    # Without this it would wait for ever for a trainer that was killed.
    multiprocessing.parent_process().join()
    os._exit(1)
