"""Evaluation: a task's metrics over every example of a source, exact at any number of devices and processes.

The device returns the metrics of each example. Copies that fill up the last batch are masked. Sums are kept in float64
and merge by addition.
"""

import dataclasses
import functools

import jax
import numpy as np

from restore_jax.train.mesh import batch_sharding, global_batch, replicated
from restore_jax.train.step import map_examples


@dataclasses.dataclass(frozen=True)
class Means:
    """Sums of named metrics over `count` examples."""

    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    count: int = 0

    def merge(self, other: "Means") -> "Means":
        """Return the means over the examples of both."""
        names = self.sums.keys() | other.sums.keys()
        sums = {name: self.sums.get(name, 0.0) + other.sums.get(name, 0.0) for name in sorted(names)}
        return Means(sums, self.count + other.count)

    def values(self) -> dict[str, float]:
        """Return the means, {metric: mean}."""
        return {name: total / self.count for name, total in self.sums.items()}


def make_evaluation(model, task, config, mesh, layout):
    """Make a jitted function (variables, batch) -> (metrics, pictures) for batches of data.loader.evaluation_batches.

    metrics: {name: (b,)} and "mask". pictures: {name: (k, h, w, c)} of the first config.evaluation.panels examples.
    An example is prepared with a key that its number gives, so that it is the same every time.
    """

    @functools.partial(jax.jit, in_shardings=(layout, batch_sharding(mesh)), out_shardings=replicated(mesh))
    def evaluate(variables, batch):
        views = {name: view for name, view in batch.items() if name not in ("index", "mask")}
        keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(config.evaluation.seed)))(batch["index"])
        inputs = map_examples(functools.partial(task.evaluation_inputs, config=config), views, keys, mesh)
        metrics, pictures = task.evaluate(model, variables, inputs, config)
        shown = {name: picture[: config.evaluation.panels] for name, picture in pictures.items()}
        return {**metrics, "mask": batch["mask"]}, shown

    return evaluate


def evaluate_all(function, variables, batches, mesh) -> tuple[Means, dict[str, np.ndarray]]:
    """Return the means of all batches, and the pictures of the first."""
    means, pictures = Means(), {}
    for number, batch in enumerate(batches):
        metrics, shown = jax.device_get(function(variables, global_batch(batch, mesh)))
        mask = metrics.pop("mask")
        sums = {name: float(values[mask].sum(dtype=np.float64)) for name, values in metrics.items()}
        means = means.merge(Means(sums, int(mask.sum())))
        if number == 0:
            pictures = shown
    return means, pictures
