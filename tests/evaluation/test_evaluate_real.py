"""Figures of real defocused photographs, and `restore-jax evaluate real`."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

from restore_jax import cli
from restore_jax.errors import InputError
from restore_jax.evaluation.real import triples
from restore_jax.metrics.focus import figures, grid_step

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(60, 180, (120, 128, 3)).astype(np.uint8)


def halves(left, right):
    """The truth changed by `left` levels in its left half and by `right` in the other."""
    change = np.where(np.arange(128) < 64, left, right)[None, :, None]
    return (TRUTH + change).astype(np.uint8)


def test_figures_are_of_where_the_photograph_is_blurred_and_where_not():
    photo, result = halves(20, 0), halves(10, 1)
    found = figures(photo, result, TRUTH)
    mse = {"photo": 400 / 2, "result": (100 + 1) / 2}
    assert found.gain == pytest.approx(10 * np.log10(mse["photo"] / mse["result"]))
    # The window of 15 pixels averages over the border: 20 levels at a share above 6 / 20, below 2.5 / 20.
    blurred = 64 + sum(20 * share / 15 > 6 for share in range(1, 8))
    of_photo, of_result = (64 * level**2 + (blurred - 64) * rest**2 for level, rest in ((20, 0), (10, 1)))
    assert found.blurred == pytest.approx(10 * np.log10(of_photo / of_result))
    assert found.sharp == pytest.approx(10 * np.log10(255**2))  # one level away from the photograph


def test_a_region_that_is_too_small_has_no_figure():
    found = figures(halves(20, 20), halves(10, 10), TRUTH)
    assert np.isnan(found.sharp)
    assert found.blurred == pytest.approx(found.gain)


def test_grid_is_the_step_across_borders_of_blocks():
    blocks = np.kron(RNG.normal(size=(8, 8)), np.ones((8, 8)))[..., None]
    assert grid_step(blocks) > 1e6
    assert grid_step(RNG.normal(size=(400, 400, 3))) == pytest.approx(1, abs=0.02)
    ramp = np.add.outer(np.arange(64), np.arange(64))[..., None].astype(float)
    ramp += 2 * np.add.outer(np.arange(64) // 8, np.arange(64) // 8)[..., None]
    assert grid_step(ramp) == pytest.approx(3)


def write(folder, names):
    for name, photo in names.items():
        iio.imwrite(folder / f"{name}.png", photo)


def test_the_command_prints_the_figures_of_every_photograph(tmp_path, capsys):
    write(tmp_path, {"a_A": halves(20, 0), "a_B": halves(0, 20), "a_F": TRUTH, "bA": halves(20, 0), "bF": TRUTH})
    write(tmp_path, {"alone_F": TRUTH})
    out = tmp_path / "out.json"
    pictures = tmp_path / "pictures"
    argv = ["evaluate", "real", str(tmp_path), "--method", "input", "--json", str(out), "--pictures", str(pictures)]
    assert cli.main(argv) == 0
    row = json.loads(out.read_text())["rows"][0]
    assert row["images"] == 3
    assert row["values"]["gain (dB)"] == row["values"]["least gain (dB)"] == 0
    assert "PSNR to the input in focus" in capsys.readouterr().out
    assert sorted(path.name for path in pictures.iterdir()) == ["a_A_input.png", "a_B_input.png", "bA_input.png"]
    assert iio.imread(pictures / "a_A_input.png").shape == (120, 3 * 128, 3)


def test_folders_without_triples_and_odd_sizes_are_named(tmp_path):
    write(tmp_path, {"a_A": TRUTH})
    with pytest.raises(InputError, match="holds no triples NAME_A, NAME_B, NAME_F"):
        triples(tmp_path)
    write(tmp_path, {"a_F": TRUTH[:100]})
    assert cli.main(["evaluate", "real", str(tmp_path), "--method", "input"]) == 2
    assert cli.main(["evaluate", "real", str(tmp_path), "--data", "dpdd/png8"]) == 2
