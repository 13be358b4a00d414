"""Deconvolution by a defocus map: its two sub-problems against brute force, known blurs undone, no seams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.ndimage as ndi
import skimage

from restore_jax.ops import deconv


@pytest.fixture(scope="module")
def photo():
    return skimage.img_as_float32(skimage.data.astronaut())[60:260, 100:320]


def blur(image, sigma):
    return ndi.gaussian_filter(image, (sigma, sigma, 0), mode="reflect").astype(np.float32)


def psnr(a, b):
    return -10 * np.log10(np.mean((np.asarray(a) - b) ** 2))


def deblurred(image, sigma, weight=5000.0, **options):
    sigma = np.broadcast_to(np.float32(sigma), image.shape[:2])
    return np.asarray(deconv.deconvolve(jnp.asarray(image), jnp.asarray(sigma), weight=weight, **options))


@pytest.mark.parametrize("beta", [0.5, 1.0, 8.0, 181.0])
def test_shrink_finds_the_minimum(beta):
    v = np.linspace(-3, 3, 61).astype(np.float32)
    w = np.asarray(deconv.shrink(jnp.asarray(v), beta))
    grid = np.linspace(-3, 3, 60_001)

    def energy(x):
        return np.abs(x) ** (2 / 3) + beta / 2 * (x - v[:, None]) ** 2

    best = energy(grid).min(1)
    assert (w != 0).any()
    assert (w == 0).any()
    np.testing.assert_allclose(energy(w[:, None].astype(np.float64))[:, 0], best, atol=2e-6)
    np.testing.assert_allclose(w, grid[energy(grid).argmin(1)], atol=1.1e-4)


def test_shrink_leaves_zero_where_both_minima_are_equal():
    beta = 8.0
    threshold = 2 * (2 / (3 * beta)) ** 0.75
    w = deconv.shrink(jnp.asarray([threshold * 0.9999, threshold * 1.0001], jnp.float32), beta)
    assert w[0] == 0
    assert float(w[1]) == pytest.approx(threshold / 2, rel=1e-3)


def test_dct_is_scipys_reordered():
    x = np.random.default_rng(0).normal(size=(12, 3, 16)).astype(np.float32)
    expected = scipy.fft.dctn(x, axes=(0, 2), norm="ortho")
    rows, columns = (np.round(2 * n * np.asarray(deconv.frequencies(n))).astype(int) for n in (12, 16))
    np.testing.assert_allclose(deconv.dct(jnp.asarray(x)), expected[rows][:, :, columns], atol=1e-5)
    np.testing.assert_allclose(deconv.inverse_dct(deconv.dct(jnp.asarray(x))), x, atol=1e-5)


def test_uniform_is_the_papers_iteration_solved_densely():
    """Half-quadratic splitting in NumPy with matrices: mirrored Gaussian blur, differences, a search for every w."""
    n, sigma, weight = 10, 0.9, 420.0
    y = ndi.gaussian_filter(np.random.default_rng(1).uniform(size=(n, n)), sigma, mode="reflect")
    cosines = scipy.fft.dct(np.eye(n), axis=0, norm="ortho")
    line = cosines.T @ np.diag(np.exp(-2 * (np.pi * sigma * np.arange(n) / (2 * n)) ** 2)) @ cosines
    difference = np.diff(np.eye(n), axis=0)
    kernel = np.kron(line, line)
    gradients = np.concatenate([np.kron(difference, np.eye(n)), np.kron(np.eye(n), difference)])
    grid = np.linspace(-1.5, 1.5, 20_001)
    x = y.ravel()
    for beta in (2 ** (1.5 * i) for i in range(6)):
        assert np.abs(gradients @ x).max() < 1.5
        energy = np.abs(grid) ** (2 / 3) + beta / 2 * (grid - (gradients @ x)[:, None]) ** 2
        w = grid[energy.argmin(1)]
        normal = weight * kernel.T @ kernel + beta * gradients.T @ gradients
        x = np.linalg.solve(normal, weight * kernel.T @ y.ravel() + beta * gradients.T @ w)
    ours = deconv.deconvolve_uniform(jnp.asarray(y[:, None], jnp.float32), jnp.float32(sigma), weight)
    np.testing.assert_allclose(ours[:, 0], x.reshape(n, n), atol=2e-3)


@pytest.mark.parametrize(("sigma", "gain"), [(1.0, 5.0), (2.0, 3.0), (4.0, 1.5)])
def test_a_known_blur_is_undone(photo, sigma, gain):
    blurred = blur(photo, sigma)
    assert psnr(deblurred(blurred, sigma), photo) > psnr(blurred, photo) + gain


def test_the_border_does_not_ring(photo):
    """The picture's true surroundings are cut off: its border gains nearly as much as its inside, which rings far less
    than under a circular boundary."""
    whole = skimage.img_as_float32(skimage.data.astronaut())
    blurred = blur(whole, 2.0)[60:260, 100:320]
    result = deblurred(blurred, 2.0, weight=420.0)
    band = np.ones(photo.shape[:2], bool)
    band[8:-8, 8:-8] = False
    transfer = np.exp(-8 * np.pi**2 * sum(f**2 for f in np.meshgrid(*map(np.fft.fftfreq, (200, 220)), indexing="ij")))
    wiener = transfer / (transfer**2 + 3e-3)
    circular = np.fft.ifft2(np.fft.fft2(blurred, axes=(0, 1)) * wiener[..., None], axes=(0, 1)).real
    assert psnr(result[band], photo[band]) > psnr(blurred[band], photo[band]) + 1
    assert psnr(result[band], photo[band]) > psnr(circular[band], photo[band]) + 3


def test_tiles_leave_no_seams(photo):
    """One blur, more than one tile: as if the whole picture were deconvolved at once."""
    blurred = blur(photo, 2.0)
    whole = deconv.deconvolve_uniform(jnp.moveaxis(jnp.asarray(blurred), -1, 1), jnp.float32(2.0), 420.0)
    assert max(photo.shape) > deconv.TILE
    assert psnr(deblurred(blurred, 2.0, 420.0), np.moveaxis(np.asarray(whole), 1, -1)) > 50


def test_guards_of_every_width_leave_no_seams(photo):
    """A blur size for each width of guard, side by side: in the middle of each as if it were everywhere."""
    image = np.tile(photo[:96], (1, 2, 1))
    sigmas = (1.0, 2.5, 3.5, 4.5)
    map_ = np.repeat(np.float32(sigmas), 110)
    blurred = np.stack([blur(image, s)[:, i] for i, s in enumerate(map_)], 1)
    result = deblurred(blurred, map_[None], 420.0)
    for i, sigma in zip((40, 165, 275, 400), sigmas, strict=True):
        assert np.mean((result[:, i] - deblurred(blurred, sigma, 420.0)[:, i]) ** 2) < 1e-5


def test_a_smaller_blur_takes_fewer_tiles():
    """A ramp of 8 and two guards of a tile's 128 pixels are not its own; the ramp reaches beyond the borders."""
    for sigma, own in ((1.0, 104), (2.5, 96), (3.5, 88), (4.5, 80)):
        tiles = int(deconv.count_tiles(jnp.full((96, 440), sigma)))
        assert tiles == np.ceil((96 + 8) / own) * np.ceil((440 + 8) / own)


def test_bins_leave_no_seams(photo):
    """Under a ramp of sigma a linear blend of 12 results is close to each column's own deconvolution."""
    sigma = np.linspace(1.0, 2.0, photo.shape[1], dtype=np.float32)
    blurred = np.stack([blur(photo, s)[:, i] for i, s in enumerate(sigma)], 1)
    result = deblurred(blurred, sigma[None], 420.0, bins=12)
    for i in (40, 113, 200):
        alone = deblurred(blurred, sigma[i], 420.0)
        assert psnr(result[:, i], alone[:, i]) > 45
    assert psnr(result, photo) > psnr(blurred, photo) + 1.5


def test_a_step_of_sigma(photo):
    """Sharp left half, blurred right half: the right gains, the left is kept."""
    blurred = np.concatenate([photo[:, :110], blur(photo, 2.0)[:, 110:]], 1)
    sigma = np.where(np.arange(220) < 110, 0.0, 2.0)
    result = deblurred(blurred, sigma[None], weight=5000.0)
    assert psnr(result[:, :100], photo[:, :100]) > 40
    assert psnr(result[:, 120:], photo[:, 120:]) > psnr(blurred[:, 120:], photo[:, 120:]) + 2.5


def test_bins_hold_equally_many_pixels_and_merge_when_near():
    sigma = np.random.default_rng(2).permutation(np.linspace(0, 8, 4096).astype(np.float32) ** 1.5).reshape(64, 64)
    nodes = np.asarray(deconv.quantile_bins(jnp.asarray(sigma), 8))
    assert np.histogram(sigma, np.concatenate([[-1], (nodes[1:] + nodes[:-1]) / 2, [99]]))[0].min() > 400
    merged = np.unique(deconv.quantile_bins(jnp.asarray(sigma / 30), 32))
    assert np.diff(merged[:-1]).min() >= deconv.FINEST
    assert len(merged) < 5
    assert merged[-1] == pytest.approx(np.quantile(sigma / 30, 63 / 64), abs=1e-3)


def test_position_among_bins_is_numpys_interpolation():
    nodes = np.array([0.5, 0.5, 1.0, 2.0, 2.0], np.float32)
    sigma = np.array([[0.0, 0.5, 0.75, 1.75, 2.0, 9.0]], np.float32)
    place = np.asarray(deconv.bin_position(jnp.asarray(sigma), jnp.asarray(nodes)))
    np.testing.assert_allclose(place, [[1, 1, 1.5, 2.75, 4, 4]])


@pytest.mark.parametrize("shape", [(1, 1, 1), (89, 96, 3)])
def test_any_size(shape):
    flat = np.full(shape, 0.4, np.float32)
    np.testing.assert_allclose(deblurred(flat, 1.5, 16.8), flat, atol=1e-4)


def test_jit_is_no_jit(photo):
    rows = jnp.moveaxis(jnp.asarray(blur(photo, 1.0)[:16, :16]), -1, 1)
    with jax.disable_jit():
        eager = deconv.deconvolve_uniform(rows, jnp.float32(1.0), 16.8)
    np.testing.assert_allclose(jax.jit(deconv.deconvolve_uniform)(rows, jnp.float32(1.0), 16.8), eager, atol=1e-4)
