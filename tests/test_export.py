"""Exported networks run without the package and give what it gives; `doctor` says what is here and what is damaged."""

import hashlib
import json
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import cli, models, weights
from restore_jax.errors import InputError
from restore_jax.export import export
from restore_jax.weights import registry
from restore_jax.weights.building import parameter_shapes
from tests.places import ROOT
from tests.random_weights import drawn

README = (ROOT / "README.md").read_text()
SIZES = (32, 48), (40, 21)  # the second is no multiple of anything


def restorer(network, **options):
    """Random weights of a small network."""
    params = drawn(parameter_shapes(network, options), 0.1)
    return weights.Restorer(network, models.create(network, **options), params, {})


@pytest.fixture
def tiny(tmp_path):
    """The path of a file with random weights."""
    found = restorer("ifan", width=4, num_filters=1)
    path = tmp_path / "tiny.safetensors"
    weights.save(path, found.params, "ifan", {"width": 4, "num_filters": 1}, {"licence": "CC0"})
    return path


def loader():
    """The README's."""
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "def load_exported" in block)
    return code


def test_the_readmes_loader_gives_the_same_in_a_process_without_the_package(tmp_path, tiny):
    assert cli.main(["export", str(tiny), "-o", str(tmp_path / "out")]) == 0
    images = [np.random.default_rng(n).random((*size, 3), np.float32) for n, size in enumerate(SIZES)]
    np.savez(tmp_path / "in.npz", *images)
    code = f"""{loader()}
import sys
restore = load_exported("out/tiny.jax_export")
images = np.load("in.npz")
np.savez("out.npz", *[restore(images[name]) for name in images.files])
assert "restore_jax" not in sys.modules and "tensorflow" not in sys.modules and "flax" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    found, loaded = np.load(tmp_path / "out.npz"), weights.load(tiny)
    for name, image in zip(found.files, images, strict=True):
        h, w = image.shape[:2]
        padded = np.pad(image, ((0, -h % 8), (0, -w % 8), (0, 0)), "edge")[None]
        expected = jnp.clip(jax.jit(loaded.model.apply)(loaded.params, padded)["image"], 0, 1)[0, :h, :w]
        assert found[name].shape == image.shape
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_the_description_says_what_goes_in_and_under_which_licence(tmp_path, tiny):
    program, description = export(weights.load(tiny), tmp_path, ["cpu"])
    about = json.loads(description.read_text())
    assert about["inputs"] == [{"name": "blurred", "shape": ["b", "8*h", "8*w", 3]}]
    assert about["output"] == {"name": "image", "shape": ["b", "8*h", "8*w", 3]}
    assert (about["multiple"], about["platforms"], about["card"]) == ([8, 8], ["cpu"], {"licence": "CC0"})
    assert about["sha256"] == hashlib.sha256(program.read_bytes()).hexdigest()


CASES = {
    "dpdnet": ({"width": 4, "input": "dual"}, None, ["b", "16*h", "16*w", 3], ["image", "right"]),
    "dmenet": ({"width_divisor": 16, "auxiliary": False}, None, ["b", "16*h", "16*w", 1], ["image"]),
    "rcan": ({"num_feat": 4, "num_groups": 1, "num_blocks": 1, "reduction": 2}, None, ["b", "4*h", "4*w", 3], ["lr"]),
    "spynet": ({}, (32, 32), [1, 32, 32, 2], ["reference", "neighbour"]),
    "refvsr": ({"mid_channels": 4, "num_blocks": 1}, (16, 24), [1, 64, 96, 3], ["lrs", "refs"]),
}  # fmt: skip


@pytest.mark.parametrize("network", CASES)
def test_networks_of_one_size_and_of_any(tmp_path, network):
    options, size, shape, names = CASES[network]
    _, description = export(
        restorer(network, **options), tmp_path, ["cpu", "tpu"], size, 2 if network == "refvsr" else None
    )
    about = json.loads(description.read_text())
    assert about["output"]["shape"] == shape
    assert [given["name"] for given in about["inputs"]] == names


def test_dual_views_are_given_in_the_order_of_their_names(tmp_path):
    found = restorer("ifan", width=4, num_filters=1, input="dual")
    program, description = export(found, tmp_path, ["cpu"])
    names = [given["name"] for given in json.loads(description.read_text())["inputs"]]
    images = {name: np.random.default_rng(n).random((1, 16, 16, 3), np.float32) for n, name in enumerate(names)}
    assert list(images) == ["blurred", "left", "right"]
    result = jax.export.deserialize(bytearray(program.read_bytes())).call(*images.values())
    expected = jax.jit(found.model.apply)(found.params, **images)["image"]
    np.testing.assert_allclose(result, jnp.clip(expected, 0, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("network", "options", "given", "reason"),
    [
        ("vgg19", {"width_divisor": 16}, {}, "VGG19 cannot be exported; these can: IFAN, "),
        ("refvsr", {"references": "dual", "mid_channels": 4, "num_blocks": 1}, {}, "two references"),
        ("basicvsr", {"num_feat": 4, "num_blocks": 1}, {}, "for one size only: give --height and --width"),
        ("ifan", {"width": 4, "num_filters": 1}, {"size": (60, 64)}, "--height 60: ifan takes .* multiples of 8"),
        ("ifan", {"width": 4, "num_filters": 1}, {"size": (64, 8)}, "--width 8: "),
        ("ifan", {"width": 4, "num_filters": 1}, {"frames": 3}, "takes no clips"),
        ("ifan", {"width": 4, "num_filters": 1}, {"platforms": ["cpu", "abacus"]}, "--platforms cpu,abacus: known are"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_no_file(tmp_path, network, options, given, reason):
    with pytest.raises(InputError, match=reason):
        export(weights.Restorer(network, models.create(network, **options), {}, {}), tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file(tmp_path, tiny, capsys):
    assert cli.main(["export", str(tiny), "-o", str(tiny)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.safetensors"]


# -------------------------------------------------------------------------------------------------------------- doctor
def test_doctor_names_platform_versions_cache_and_weights(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("RESTORE_JAX_CACHE", str(tmp_path))
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    for expected in ("platform", "device       cpu:0", f"jax {jax.__version__}", str(tmp_path)):
        assert expected in said
    for name in weights.shipped_names():
        assert f"{name} ok, sha256 {weights.verify(name)}" in said


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_doctor_finds_damaged_weights(capsys, monkeypatch, tmp_path, tiny, damage):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    data = bytearray(tiny.read_bytes())
    (shipped / "tiny.json").write_text(json.dumps({"sha256": registry.sha256(tiny)}))
    data[-1] ^= 1
    if damage == "flipped":
        (shipped / "tiny.safetensors").write_bytes(data)
    monkeypatch.setattr(registry, "SHIPPED", shipped)
    assert cli.main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "tiny DAMAGED" in out
    assert err.count("\n") == 1
