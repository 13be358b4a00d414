"""weights.checkpoints, weights.wrapping: checkpoints as trainers wrap them convert as the plain ones do."""

import argparse
import collections
import pathlib

import numpy as np
import pytest
from safetensors.numpy import save_file

import restore_jax as rj
from restore_jax import cli, weights
from restore_jax.errors import InputError
from restore_jax.weights import wrapping
from restore_jax.weights.tree import flatten

IFAN = {"width": 4, "num_filters": 8}
BASICVSR = {"num_feat": 8, "num_blocks": 2}


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="only needed to read PyTorch files; CI installs it")


def under(prefix, arrays):
    return {prefix + name: array for name, array in arrays.items()}


def same(path, name, arrays, **options):
    """Asserts that a converted file holds what the plain arrays convert to."""
    found, expected = flatten(rj.load(path).params), flatten(weights.convert(name, arrays, **options))
    assert found.keys() == expected.keys()
    for key in found:
        np.testing.assert_array_equal(found[key], expected[key])


def other(arrays):
    """Arrays of the same names and shapes with other numbers."""
    return {name: array + np.float32(1) for name, array in arrays.items()}


WRAPPED = {
    "module": lambda a, t: under("module.", a),
    "net": lambda a, t: {"net": a, "epoch": 1},
    "an unknown key": lambda a, t: {"the weights": a, "loss": 0.5},
    "model_state_dict": lambda a, t: {"epoch": 3, "model_state_dict": a, "optimizer_state_dict": {}},
    "nested": lambda a, t: {"model": {"state_dict": a}},
    "nested four times": lambda a, t: {"a": [1, {"b": {"c": {"module.net": 1, "d": under("module.net.", a)}}}]},
    "lightning": lambda a, t: {"epoch": 3, "pytorch-lightning_version": "2.1", "state_dict": under("model.", a)},
    "a list": lambda a, t: [7, a],
    "an optimizer beside": lambda a, t: {
        "optimizer": {"state": {n: {"exp_avg": array} for n, array in enumerate(a.values())}, "param_groups": []},
        "model": a,
    },
    "averaged by PyTorch": lambda a, t: {**under("module.", a), "n_averaged": t.tensor(3)},
    "parameters": lambda a, t: collections.OrderedDict((k, t.nn.Parameter(v)) for k, v in a.items()),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_wrapped_weights_convert_as_plain_ones_do(torch, tmp_path, golden, how):
    arrays = golden("ifan_weights")
    tensors = collections.OrderedDict((name, torch.from_numpy(array)) for name, array in arrays.items())
    torch.save(WRAPPED[how](tensors, torch), tmp_path / "in.pth")
    weights.convert_files("ifan", [tmp_path / "in.pth"], tmp_path / "out.safetensors", **IFAN)
    same(tmp_path / "out.safetensors", "ifan", arrays, **IFAN)


@pytest.mark.parametrize(
    ("name", "how"),
    [("w.bin", {}), ("w.pth.tar", {}), ("w.npz", {}), ("old.pth", {"_use_new_zipfile_serialization": False})],
)
def test_the_content_counts_not_the_name(torch, tmp_path, golden, name, how):
    arrays = golden("ifan_weights")
    torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, tmp_path / name, **how)
    weights.convert_files("ifan", [tmp_path / name], tmp_path / "out.safetensors", **IFAN)
    same(tmp_path / "out.safetensors", "ifan", arrays, **IFAN)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_prefixes_are_stripped_from_files_of_all_kinds(tmp_path, golden, suffix):
    arrays, path = golden("ifan_weights"), tmp_path / f"in{suffix}"
    wrapped = under("module.", arrays)
    save_file(wrapped, path) if suffix == ".safetensors" else np.savez(path, **wrapped)
    assert weights.convert_files("ifan", [path], tmp_path / "out.safetensors", **IFAN) == []
    same(tmp_path / "out.safetensors", "ifan", arrays, **IFAN)
    assert weights.card(tmp_path / "out.safetensors")["taken_from"] == ["module"]


def gan(arrays):
    """As mmagic saves the training of a generator: its average beside it, a discriminator, a counter."""
    critic = {"discriminator.conv.weight": np.ones((4, 3, 3, 3), np.float32)}
    counter = {"step_counter": np.ones(1, np.float32)}
    return under("generator_ema.", other(arrays)) | under("generator.", arrays) | critic | counter


def test_the_average_is_taken_when_asked_for(tmp_path, golden, capsys):
    arrays, path, out = golden("basicvsr_weights"), tmp_path / "gan.safetensors", tmp_path / "out.safetensors"
    save_file(gan(arrays), path)
    argv = ["weights", "convert", "basicvsr", str(path), "-o", str(out), "--option=num_feat=8", "--option=num_blocks=2"]
    assert cli.main(argv) == 0
    same(out, "basicvsr", arrays, **BASICVSR)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"{path}: took {len(arrays)} arrays: generator; left out: ")
    for part in (f"generator_ema ({len(arrays)} arrays)", "discriminator (1 array)", "step_counter (1 array)"):
        assert part in said
    assert said.endswith(" (--ema takes the average)\n")
    assert cli.main([*argv, "--ema"]) == 0
    same(out, "basicvsr", other(arrays), **BASICVSR)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"took {len(arrays)} arrays: generator_ema; left out: " in said
    assert f"generator ({len(arrays)} arrays)" in said


@pytest.mark.parametrize("ema", [False, True])
def test_of_two_tables_the_one_asked_for_is_taken(torch, tmp_path, golden, ema):
    arrays, path, out = golden("ifan_weights"), tmp_path / "both.pth", tmp_path / "out.safetensors"
    tables = {"params_ema": other(arrays), "params": under("x.", arrays)}
    torch.save({k: {n: torch.from_numpy(a) for n, a in table.items()} for k, table in tables.items()}, path)
    (note,) = weights.convert_files("ifan", [path], out, ema=ema, **IFAN)
    same(out, "ifan", other(arrays) if ema else arrays, **IFAN)
    left = "params" if ema else "params_ema"
    assert f"left out: {left} ({len(arrays)} arrays)" in note


def test_the_only_weights_are_taken_and_a_missing_average_is_told(tmp_path, golden):
    arrays, path, out = golden("ifan_weights"), tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file(arrays, path)
    (note,) = weights.convert_files("ifan", [path], out, ema=True, **IFAN)
    assert "holds no averaged weights" in note
    save_file(under("ema_model.", arrays), path)
    assert weights.convert_files("ifan", [path], out, **IFAN) == []
    same(out, "ifan", arrays, **IFAN)


def test_a_part_of_a_network_comes_out_of_its_checkpoint(golden):
    arrays = golden("basicvsr_weights")
    flow = weights.convert("spynet", under("generator.", arrays))
    whole = weights.convert("basicvsr", arrays, **BASICVSR)["params"]["flow_network"]
    for name, array in flatten(flow["params"]).items():
        np.testing.assert_array_equal(array, flatten(whole)[name])


def test_the_message_names_what_was_found(torch, tmp_path, golden):
    path = tmp_path / "other.pth"
    torch.save({"state_dict": {k: torch.from_numpy(v) for k, v in golden("rcan_weights").items()}}, path)
    count = len(golden("rcan_weights"))
    with pytest.raises(InputError, match=rf"holds no parameters of ifan; found state_dict \({count} arrays\); the "):
        weights.convert_files("ifan", [path], tmp_path / "out.safetensors", **IFAN)
    torch.save({"epoch": 3, "best": {"loss": 0.5}}, path)
    with pytest.raises(InputError, match="no table of named tensors; found float, int under the keys epoch, best"):
        weights.convert_files("ifan", [path], tmp_path / "out.safetensors", **IFAN)


def test_what_trainers_pickle_beside_the_weights_does_no_harm(torch, tmp_path, golden):
    arrays, path = golden("ifan_weights"), tmp_path / "in.ckpt"
    beside = argparse.Namespace(lr=1e-4, folder=pathlib.PurePosixPath("runs"))
    content = {"state_dict": {k: torch.from_numpy(v) for k, v in arrays.items()}, "best": np.float64(3)}
    torch.save(content | {"hyper_parameters": beside}, path)
    weights.convert_files("ifan", [path], tmp_path / "out.safetensors", **IFAN)
    same(tmp_path / "out.safetensors", "ifan", arrays, **IFAN)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("new", [True, False])
def test_a_pickle_that_would_run_code_is_named_and_not_run(torch, tmp_path, capsys, new):
    path = tmp_path / "evil.pth"
    content = {"weight": torch.zeros(3), "hook": Evil()}
    torch.save(content, path, _use_new_zipfile_serialization=new)
    with pytest.raises(InputError, match=r"evil.pth: not a PyTorch file of plain tensors \(it holds a (\w+\.)?print,"):
        weights.read_published(path)
    assert capsys.readouterr().out == ""


def test_a_tensor_that_claims_to_be_large_is_refused(torch, tmp_path):
    path = tmp_path / "large.pth"
    torch.save({"weight": torch.zeros(1).expand(2**20, 2**10)}, path)
    with pytest.raises(InputError, match="no weights are like that"):
        weights.read_published(path)


def test_without_a_network_the_largest_table_is_read(torch, tmp_path):
    table = {"module.a": torch.ones(2), "module.b": torch.zeros(3, dtype=torch.float16)}
    torch.save({"epoch": 1, "state_dict": table, "optimizer": {"lr": torch.ones(1)}}, tmp_path / "in.pth")
    found = weights.read_published(tmp_path / "in.pth")
    assert {name: array.tolist() for name, array in found.items()} == {"a": [1, 1], "b": [0, 0, 0]}
    assert all(array.dtype == np.float32 for array in found.values())


def test_the_prefix_is_the_one_that_gives_most():
    needed = {"conv.weight": "conv/kernel", "conv.bias": "conv/bias"}.get
    names = ["a.conv.weight", "b.c.conv.weight", "b.c.conv.bias", "b.other"]
    found = wrapping.find(names, needed)
    assert found.prefix == "b.c."
    assert found.names == {"b.c.conv.weight": "conv.weight", "b.c.conv.bias": "conv.bias"}
    assert found.left_out == {"a": 1, "b.other": 1}
    # An incomplete average is not preferred to complete weights.
    assert wrapping.find([*names, "ema.conv.weight"], needed, ema=True).prefix == "b.c."
    assert wrapping.find(["x.y", "z"], needed) is None


@pytest.mark.parametrize("name", ["params_ema.", "generator_ema.", "EMA.", "ema_model.", "swa/x.", "model.averaged."])
def test_names_of_averages(name):
    assert wrapping.is_averaged(name)
    assert not wrapping.is_averaged(name.replace("a", "o").replace("A", "O"))
    assert not wrapping.is_averaged("schema.module.")
