"""Training is equal on any mesh and any number of processes: losses, evaluation, shardings, checkpoints."""

import json
import subprocess
import sys

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restore_jax import models
from restore_jax.train.evaluation import Means
from tests import four_devices, toy_task
from tests.training_runs import SMALL, assert_same_weights, finish, lines, overrides, start


@pytest.fixture(scope="module")
def facts():
    """Return the results of tests/four_devices.py."""
    done = subprocess.run([sys.executable, "-m", "tests.four_devices"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("mesh", ["4x1", "1x2", "2x2"])
def test_every_mesh_trains_alike(facts, mesh):
    assert len(facts[mesh]["steps"]) == four_devices.STEPS
    for ours, one in zip(facts[mesh]["steps"], facts["1x1"]["steps"], strict=True):
        assert ours["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert ours["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-4)
    assert facts[mesh]["sum"] == pytest.approx(facts["1x1"]["sum"], rel=1e-6)
    losses = [step["loss"] for step in facts["1x1"]["steps"]]
    assert len(set(losses)) == len(losses)


@pytest.mark.parametrize("mesh", ["1x1", "4x1", "1x2", "2x2"])
def test_every_parameter_lies_where_it_should(facts, mesh):
    _, fsdp = four_devices.MESHES[mesh]
    split = 0
    for name, (shape, spec) in facts[mesh]["params"].items():
        divisible = [side for side in shape if side % 2 == 0]
        if fsdp == 1 or np.prod(shape) < 1024 or not divisible:
            assert not any(spec), name
        else:
            (where,) = [n for n, axis in enumerate(spec) if axis]
            assert spec[where] == "fsdp"
            assert shape[where] == max(divisible), name
            split += 1
    assert split == (1 if fsdp > 1 else 0)  # of 3x3x16x16; the others are small
    # Moments are laid out as their parameters are.
    of_shape = {tuple(shape): spec for shape, spec in facts[mesh]["params"].values()}
    for name, (shape, spec) in facts[mesh]["optimizer"].items():
        assert spec == of_shape.get(tuple(shape), []), name


def test_fsdp_halves_what_a_device_holds(facts):
    assert facts["1x1"]["bytes_here"] == 4 * (27 * 16 + 16 + 9 * 256 + 16 + 9 * 48 + 3)
    assert facts["1x1"]["bytes_here"] - facts["1x2"]["bytes_here"] == 4 * 9 * 256 / 2
    assert facts["4x1"]["bytes_here"] == facts["1x1"]["bytes_here"]


def test_evaluation_is_the_same_everywhere(facts):
    for mesh in four_devices.MESHES:
        assert facts[mesh]["count"] == 7
        for name, value in facts[mesh]["evaluation"].items():
            assert value == pytest.approx(facts["1x1"]["evaluation"][name], rel=1e-5)


def test_every_parameter_of_ifan_is_split_over_eight():
    """FSDP of the published network on a mesh of devices that need not be there."""
    import jax
    from jax.sharding import AbstractMesh, PartitionSpec

    from restore_jax.train.mesh import AXES, partition

    model, image = models.create("ifan"), jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    mesh = AbstractMesh((1, 8), AXES)
    whole = split = 0
    for path, x in jax.tree_util.tree_leaves_with_path(shapes):
        spec = partition(x, mesh)
        if x.size < 1024 or not any(side % 8 == 0 for side in x.shape):
            assert spec == PartitionSpec(), path
            whole += x.size
        else:
            assert x.shape[spec.index("fsdp")] == max(side for side in x.shape if side % 8 == 0), path
            split += x.size
    assert split > 0.99 * (whole + split)


def test_evaluation_is_that_of_one_example_after_another():
    """Ragged batches against a loop over single examples, with skimage's metrics."""
    import jax

    from restore_jax.data.loader import evaluation_batches
    from restore_jax.train.evaluation import evaluate_all, make_evaluation
    from restore_jax.train.mesh import make_mesh, replicated

    config, source, model = four_devices.settings(), four_devices.Seven(), toy_task.Model()
    params = toy_task.initial_params(model, jax.random.key(1), config)
    mesh = make_mesh(devices=jax.devices()[:1])
    function = make_evaluation(model, toy_task, config, mesh, jax.tree.map(lambda _: replicated(mesh), params))
    means, pictures = evaluate_all(function, params, evaluation_batches(source, config.evaluation.data), mesh)
    assert means.count == 7
    assert len(pictures["result"]) == 2

    found = []
    for index in range(7):
        picture = source[index]["sharp"][64:96, 64:96]  # the middle 32 of 160
        views = toy_task.evaluation_inputs({"sharp": picture}, jax.random.fold_in(jax.random.key(0), index), config)
        result, truth = np.clip(model.apply(params, views["noisy"][None])[0], 0, 1), picture / np.float32(255)
        psnr = peak_signal_noise_ratio(truth, result, data_range=1)
        found.append((psnr, structural_similarity(truth, result, channel_axis=2, data_range=1)))
    psnr, ssim = np.mean(found, 0)
    assert means.values()["psnr"] == pytest.approx(psnr, rel=1e-6)
    assert means.values()["ssim"] == pytest.approx(ssim, rel=1e-6)


def test_means_merge_by_examples():
    a, b = Means({"psnr": 60.0}, 2), Means({"psnr": 25.0}, 1)
    assert a.merge(b).merge(Means()).values() == {"psnr": pytest.approx(85 / 3)}


# ------------------------------------------------------------------------------------------------------- two processes
OPTIONS = overrides(*SMALL, "total_steps=10", "log_every=1", "checkpoint_every=5", "evaluation.every=5")
OPTIONS += overrides("data.batch_size=4", "data.size=32", "evaluation.data.batch_size=4", "evaluation.data.size=32")


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_two_processes(workdir, *more, cache):
    """The run as two processes of two devices each; what process 0 said."""
    where = [f"--coordinator=127.0.0.1:{free_port()}", "--processes=2"]
    both = [start(workdir, *OPTIONS, *where, f"--process={n}", *more, cache=cache, devices=2) for n in (0, 1)]
    (code, out, err), (other_code, other_out, other_err) = finish(*both), finish(both[1])
    assert code == 0, err[-2000:]
    assert other_code == 0, other_err[-2000:]
    assert "step " not in other_out  # one of them talks
    return out


def in_one_process(workdir, *more, cache):
    code, out, err = finish(start(workdir, *OPTIONS, *more, cache=cache))
    assert code == 0, err[-2000:]
    return out


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory, cache):
    """Run ten steps by one process with one device, and by two with two each."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    in_one_process(one, cache=cache)
    assert "4 x cpu in 2 process(es)" in in_two_processes(two, cache=cache)
    return one, two


def numbers(workdir, name):
    return {line["step"]: line[name] for line in lines(workdir) if name in line}


def test_two_processes_train_as_one(workdirs):
    one, two = workdirs
    for name in ("loss", "gain_db", "evaluation/psnr", "evaluation/ssim"):
        expected = numbers(one, name)
        assert len(expected) == (3 if name.startswith("evaluation") else 10)
        assert numbers(two, name) == {
            step: pytest.approx(value, rel=1e-5, abs=1e-5) for step, value in expected.items()
        }
    assert_same_weights(one, two, rtol=1e-3, atol=1e-6)


def test_a_checkpoint_of_one_loads_in_the_other(workdirs, cache):
    one, two = workdirs
    longer = overrides("total_steps=12")
    assert "resumed from step 10" in in_two_processes(one, *longer, cache=cache)
    assert "resumed from step 10" in in_one_process(two, *longer, cache=cache)
    for step in (11, 12):
        assert numbers(one, "loss")[step] == pytest.approx(numbers(two, "loss")[step], rel=1e-4)
    assert_same_weights(one, two, rtol=1e-3, atol=1e-6)
