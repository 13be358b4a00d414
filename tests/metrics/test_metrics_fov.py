"""metrics_fov: regions pixel by pixel, PSNR by loops, SSIM by skimage's map."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from restore_jax.metrics.fields_of_view import RANGES, RULES, border, masks, psnr_by_fov, ssim_by_fov

SHAPE = (36, 50)


def frames(shape=SHAPE, seed=0, noise=0.1):
    """Two pictures that differ more to the outside; the first leaves [0, 1] here and there."""
    rng = np.random.default_rng(seed)
    truth = rng.random((*shape, 3))
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    result = truth + noise * (0.2 + np.hypot(y, x))[..., None] * rng.standard_normal(truth.shape)
    return result.astype(np.float32), truth.astype(np.float32)


def within(y, x, shape, percent, rule):
    """Whether a pixel lies in the middle, by the release's arithmetic or exactly."""
    if percent == 100:
        return True
    share = (1 - percent / 100) / 2
    edges = [side // int(1 / share) if rule == "refvsr" else round(side * share) for side in shape]
    return all(edge <= i < side - edge for i, side, edge in zip((y, x), shape, edges, strict=True))


def mean_over(values, name, rule):
    """Mean over the range, by loops."""
    percent, total, count = int(name.split("-")[1]), 0.0, 0
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            inner = within(y, x, values.shape[:2], 50, rule)
            if inner if percent == 50 else within(y, x, values.shape[:2], percent, rule) and not inner:
                total, count = total + values[y, x].sum(), count + values.shape[2]
    return total / count


def test_the_borders_of_published_frames():
    """Borders of 1080 lines; the published program's 70 % are 66.7 %."""
    assert [border(1080, p, "refvsr") for p in (50, 60, 70, 80, 90, 100)] == [270, 216, 180, 108, 54, 0]
    assert [border(1080, p, "paper") for p in (50, 60, 70, 80, 90, 100)] == [270, 216, 162, 108, 54, 0]
    assert border(1920, 70) == 320
    assert RANGES == ("0-50", "50-60", "50-70", "50-80", "50-90", "50-100")
    with pytest.raises(ValueError, match="no rule 'exact'; there are refvsr, paper"):
        border(1080, 50, "exact")


@pytest.mark.parametrize("rule", RULES)
def test_rings_nest_and_with_the_inside_make_the_frame(rule):
    found = masks(37, 64, rule)
    rings = [found[name] for name in RANGES[1:]]
    for inner, outer in itertools.pairwise(rings):
        assert (inner <= outer).all()
        assert inner.sum() < outer.sum()
    assert (rings[-1] ^ found["0-50"]).all()


@pytest.mark.parametrize("rule", RULES)
def test_against_loops_and_skimage(rule):
    result, truth = frames()
    clipped = np.clip(result, 0, 1).astype(float)
    error = (clipped - truth) ** 2
    _, similarity = structural_similarity(clipped, truth.astype(float), channel_axis=2, data_range=1.0, full=True)
    psnr, ssim = (metric(jnp.asarray(result), jnp.asarray(truth), rule) for metric in (psnr_by_fov, ssim_by_fov))
    assert tuple(psnr) == tuple(ssim) == RANGES
    for name in RANGES:
        assert float(psnr[name]) == pytest.approx(10 * np.log10(1 / mean_over(error, name, rule)), abs=1e-4)
        assert float(ssim[name]) == pytest.approx(mean_over(similarity, name, rule), abs=2e-6)
    assert psnr["0-50"] > psnr["50-60"] > psnr["50-100"]


def test_each_frame_of_a_clip_has_its_values():
    pairs = [frames(seed=seed, noise=0.05 * (seed + 1)) for seed in range(3)]
    clip, truth = (jnp.stack([jnp.asarray(pair[i]) for pair in pairs]) for i in range(2))
    for metric in (psnr_by_fov, ssim_by_fov):
        together = metric(clip, truth)
        for t, pair in enumerate(pairs):
            alone = metric(*map(jnp.asarray, pair))
            for name in RANGES:
                np.testing.assert_allclose(together[name][t], alone[name], rtol=1e-5)


def test_what_cannot_be_compared():
    result, truth = map(jnp.asarray, frames())
    with pytest.raises(ValueError, match="differ in shape"):
        psnr_by_fov(result[1:], truth)
    with pytest.raises(ValueError, match="too small"):
        ssim_by_fov(result[:6], truth[:6])
