"""weights: files, conversion of published checkpoints, the registry."""

import json

import jax
import ml_dtypes
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import cli, models, weights
from restore_jax.errors import InputError
from restore_jax.weights import registry
from restore_jax.weights.tree import flatten, unflatten

OPTIONS = {"width": 4, "num_filters": 8}


@pytest.fixture
def converted(golden):
    return weights.convert("ifan", golden("ifan_weights"), **OPTIONS)


def same(a, b):
    a, b = flatten(a), flatten(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_nested_and_flat_names():
    tree = {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    assert flatten(tree) == {"a/b/c": 1, "a/d": 2, "e": 3}
    assert unflatten(flatten(tree)) == tree


def test_a_file_brings_its_network_and_card(tmp_path, converted):
    path = tmp_path / "w.safetensors"
    weights.save(path, converted, "ifan", OPTIONS, {"note": "größer"})
    restorer = rj.load(path)
    same(restorer.params, converted)
    assert restorer.card == {"note": "größer"}
    assert restorer.model == models.create("ifan", **OPTIONS)
    image = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    ours = jax.jit(restorer.model.apply)(restorer.params, image)["image"]
    np.testing.assert_array_equal(ours, jax.jit(restorer.model.apply)(converted, image)["image"])


def test_bfloat16_weights_stay_bfloat16_and_work(tmp_path, converted):
    path = tmp_path / "w.safetensors"
    low = jax.tree.map(lambda x: x.astype(ml_dtypes.bfloat16), converted)
    weights.save(path, low, "ifan", OPTIONS)
    restorer = rj.load(path)
    same(restorer.params, low)
    image = np.random.default_rng(0).random((32, 32, 3), np.float32)
    full = rj.deblur(image, weights=registry.Restorer("w", restorer.model, converted, {}))
    np.testing.assert_allclose(rj.deblur(image, weights=restorer), full, atol=0.02)


def test_saving_is_atomic(tmp_path, converted, monkeypatch):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"before")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk on fire")))
    with pytest.raises(InputError, match="disk on fire"):
        weights.save(path, converted, "ifan", OPTIONS)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("suffix", [".npz", ".pth", ".safetensors"])
def test_convert_verb(tmp_path, golden, converted, suffix):
    arrays = golden("ifan_weights")
    source, out = tmp_path / f"published{suffix}", tmp_path / "ours.safetensors"
    if suffix == ".npz":
        np.savez(source, **arrays)
    elif suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file(arrays, source)
    else:
        torch = pytest.importorskip("torch", reason="only needed to read PyTorch files; CI installs it")
        torch.save({f"module.{name}": torch.from_numpy(array) for name, array in arrays.items()}, source)
    argv = ["weights", "convert", "ifan", str(source), "-o", str(out)]
    assert cli.main([*argv, "--option", "width=4", "--option", "num_filters=8"]) == 0
    same(rj.load(out).params, converted)


def test_half_precision_is_converted_as_float32(tmp_path, golden):
    from safetensors.numpy import save_file

    source, out = tmp_path / "published.safetensors", tmp_path / "ours.safetensors"
    halves = {name: array.astype(ml_dtypes.bfloat16) for name, array in golden("ifan_weights").items()}
    save_file(halves, source)
    weights.convert_files("ifan", [source], out, **OPTIONS)
    rounded = {name: array.astype(np.float32) for name, array in halves.items()}
    same(rj.load(out).params, weights.convert("ifan", rounded, **OPTIONS))


def test_convert_verb_refuses_what_does_not_fit(tmp_path, golden, capsys):
    source, out = tmp_path / "published.npz", tmp_path / "ours.safetensors"
    np.savez(source, **golden("ifan_weights"))
    assert cli.main(["weights", "convert", "ifan", str(source), "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{source}: ifan: parameter 'Network.conv1_1.0.weight' has shape (4, 3, 3, 3)" in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.npz", b"nothing", "not a readable npz file"),
        ("w.safetensors", b"nothing", "not a readable safetensors file"),
        ("w.onnx", b"nothing", "unknown kind of checkpoint"),
    ],
)
def test_unreadable_checkpoints_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: {message}"):
        weights.read_published(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        weights.read_published(tmp_path / "missing.npz")


def test_pickles_that_would_run_code_are_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="only needed to read PyTorch files; CI installs it")

    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil.pth: not a PyTorch file of plain tensors"):
        weights.read_published(tmp_path / "evil.pth")


def test_weights_that_do_not_fit_their_network_are_refused(tmp_path, converted):
    path = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match="no such weights file"):
        rj.load(path)
    weights.save(path, converted, "ifan", {"width": 4, "num_filters": 9})
    with pytest.raises(InputError, match=r"parameter 'params/filter_predictor/conv_out/(kernel|bias)' has shape"):
        rj.load(path)
    weights.save(path, converted, "ifan", {**OPTIONS, "surprise": 1})
    with pytest.raises(InputError, match="has no option 'surprise'"):
        rj.load(path)
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(InputError, match="names no network"):
        rj.load(path)
    with pytest.raises(InputError, match="no such weights; known are"):
        rj.load("ifam")


def test_everything_that_ships_loads_and_matches_its_card():
    cards = weights.list_shipped()
    assert cards, "no weights ship"
    for card in cards:
        assert weights.verify(card["name"]) == card["sha256"]
        assert {"model", "data", "steps", "licence", "gain", "size", "commands", "seed"} <= card.keys()
        rj.load(card["name"])
    for name in registry.BEST:
        assert registry.BEST[name] in [card["name"] for card in cards]


def test_a_damaged_shipped_file_is_noticed(tmp_path, converted, monkeypatch):
    monkeypatch.setattr(registry, "SHIPPED", tmp_path)
    weights.save(tmp_path / "small.safetensors", converted, "ifan", OPTIONS)
    (tmp_path / "small.json").write_text(json.dumps({"sha256": registry.sha256(tmp_path / "small.safetensors")}))
    weights.verify("small")
    data = bytearray((tmp_path / "small.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "small.safetensors").write_bytes(data)
    with pytest.raises(InputError, match="the file is damaged"):
        weights.verify("small")
