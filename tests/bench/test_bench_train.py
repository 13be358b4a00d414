"""restore-jax bench train: its line, its file, and what it refuses."""

import json

import pytest

from restore_jax import cli


def test_it_measures_the_real_loop(tmp_path, capsys):
    small = ("loss.disparity=0.0", "loss.reblur=0.0", "model.options.reblur=False", "model.options.width=4")
    overrides = [f"--config.{o}" for o in small]
    out = tmp_path / "bench.json"
    command = ["bench", "train", "--config=configs/ifan.py:tiny", "--steps=2", f"--json={out}", *overrides]
    assert cli.main(command) == 0
    found = json.loads(out.read_text())
    assert found["images_per_second"] == pytest.approx(2 * found["steps_per_second"])
    assert 0 <= found["waiting_for_data"] < 1
    assert found["peak_bytes"] > 1e8
    assert f"{found['images_per_second']:.1f} images/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps=0"], "bench train: argument --steps: '0' is not a whole number above 0"),
        (["--steps=many"], "bench train: "),
        (["--config=nothing.py"], "nothing.py: no such config file"),
        (["--config=configs/ifan.py:tiny", "--data", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_bad_arguments_are_one_line(capsys, arguments, message):
    assert cli.main(["bench", "train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
