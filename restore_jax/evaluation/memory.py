"""Evaluation of reference memories: how well they reconstruct a reference, before and after they are adapted to it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from restore_jax import metrics
from restore_jax import weights as registry
from restore_jax.evaluation.measuring import means
from restore_jax.evaluation.rows import Options, Outcome
from restore_jax.evaluation.vsr import Clip, open_clips
from restore_jax.io.photos import to_float
from restore_jax.video import adaptation


def references(clip: Clip, count: int | None = None) -> list[np.ndarray]:
    """Return the wide camera's frames of a clip, or `count` of them, (h, w, 3) float32 with even sides."""
    numbers = np.arange(clip.count)
    if count is not None:
        numbers = np.unique(np.linspace(0, clip.count - 1, count).round().astype(int))
    frames = (to_float(clip.load(number).wide) for number in numbers)
    return [frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2] for frame in frames]


def adapted(weights, clip: Clip, count: int | None = None):
    """Adapt the weights' memory to a clip's reference frames, to all or to `count` of them."""
    return adaptation.adapt(weights, references(clip, count)).weights


def reconstruction(weights, clip: Clip) -> list[dict[str, float]]:
    """Measure PSNR and SSIM of each reference frame as the memory reconstructs it."""
    remember = jax.jit(lambda frame: weights.model.apply(weights.params, frame, method="reconstruct_reference"))
    scores = []
    for frame in references(clip):
        result = np.asarray(jnp.clip(remember(frame[None]), 0, 1))[0]
        names = ("psnr", "ssim")
        scores.append({name.upper(): float(getattr(metrics, name)(result, frame, "refvsr")) for name in names})
    return scores


def measure_reconstruction(data: str, name: str, options: Options, learn: Callable | None = None) -> Outcome:
    """Measure how well a memory reconstructs a data set's references; learn(weights, clip) adapts it first."""
    weights = registry.load(name)
    adaptation.check_memory(weights)
    scores = []
    for clip in open_clips(data, options.limit):
        options.say(f"{data}: {name} remembers {clip.name}")
        scores += reconstruction(learn(weights, clip) if learn else weights, clip)
    values = {f"reconstruction {metric} [refvsr]": value for metric, value in means(scores).items()}
    return Outcome(values, len(scores), registry.card(name).get("name", name))
