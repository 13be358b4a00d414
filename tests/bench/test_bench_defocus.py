"""restore-jax bench render and bench defocus: what they print and write at a tiny size; nothing depends on time."""

import json

import numpy as np
import pytest

from restore_jax import cli
from restore_jax.bench import defocus as bench_defocus
from restore_jax.bench import rendering as bench_render
from tests import reference_layers

DEFOCUS = ["bench", "defocus", "--size", "32x32", "--deconvolved", "160x96", "--width-divisor", "16", "--repeats", "1"]


def test_render_is_measured_beside_the_loop(tmp_path, capsys):
    out = tmp_path / "bench.json"
    assert cli.main(["bench", "render", "--size", "40x32", "--layers", "12", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["ratio"] == pytest.approx(found["images_a_minute"] / found["loop_images_a_minute"])
    assert found["largest_difference"] < 1e-4
    assert found["peak_bytes"] > 1e7
    assert f"{found['ratio']:.1f} times as fast" in capsys.readouterr().out
    image, layer, sigma = bench_render.scene(32, 40, 12)
    expected = reference_layers.render(image, layer, sigma)
    np.testing.assert_allclose(bench_render.layer_loop(image, layer, sigma), expected, atol=1e-4)


def test_defocus_states_shares_of_time(tmp_path, capsys):
    out = tmp_path / "bench.json"
    assert cli.main([*DEFOCUS, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    plain, network, whole, transforms, shrinkage = rows[:1] + rows[2:]
    assert [row["name"] for row in (network, whole, transforms, shrinkage)] == [
        "DMENet, width / 16",
        bench_defocus.DECONVOLUTION,
        bench_defocus.TRANSFORMS,
        bench_defocus.SHRINKAGE,
    ]
    assert network["gflops"] * network["median"] == pytest.approx(2e-9 * network["macs"])
    said = capsys.readouterr().out
    assert f"{network['gflops']:.0f} GFLOP/s" in said
    assert f"cosine transforms {transforms['median'] / whole['median']:.0%} of it" in said
    assert "dissertation" not in said  # another size than its
    assert plain["name"] == bench_defocus.PLAIN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["render", "--layers", "1"], "bench render: --layers: at least 2"),
        (["render", "--size", "big"], "'big' is not WIDTHxHEIGHT"),
        (["render", "--fast"], "bench render: unrecognized arguments: --fast"),
        (["defocus", "--size", "33x32"], "multiples of 8"),
        (["defocus", "--json", "nowhere/bench.json"], "nowhere/bench.json: its folder does not exist"),
    ],
)
def test_bad_arguments_are_one_line(capsys, arguments, message):
    assert cli.main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
