"""train.py in this process: the loop, where a run starts, its log, and what stops it."""

import json
import signal

import imageio.v3 as iio
import jax
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import cli, models, tasks, train
from restore_jax.data import loader
from restore_jax.train.config import load_config
from restore_jax.train.log import Log
from restore_jax.train.optim import make_optimizer
from restore_jax.weights.tree import flatten
from tests.training_runs import SMALL, assert_same_weights, lines

CONFIG = "configs/ifan.py:tiny"
SHORT = ("total_steps=6", "checkpoint_every=2", "log_every=2", "evaluation.every=3", "evaluation.data.size=32")


def arguments(workdir, *overrides):
    return [
        "train",
        f"--config={CONFIG}",
        f"--workdir={workdir}",
        *(f"--config.{o}" for o in (*SMALL, *SHORT, *overrides)),
    ]


def dying_at(step, monkeypatch, exception):
    """Makes the loader raise when it is asked for that step's batch."""
    make = loader.training_batches

    def batches(source, data, seed, first, *where):
        for number, batch in enumerate(make(source, data, seed, first, *where), first + 1):
            if number == step:
                raise exception
            yield batch

    monkeypatch.setattr(loader, "training_batches", batches)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of six steps, uninterrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    assert cli.main(arguments(workdir)) == 0
    return workdir


def test_a_run_leaves_what_it_promises(whole):
    log = lines(whole)
    assert [line["step"] for line in log] == [0, 2, 3, 4, 6, 6]
    assert {"loss", "deblur", "gain_db", "gradient_norm", "steps_per_second", "waiting_for_data"} <= log[1].keys()
    assert {"evaluation/psnr", "evaluation/ssim", "evaluation/mae"} <= log[0].keys()
    assert json.loads((whole / "config.json").read_text())["total_steps"] == 6
    panel = iio.imread(whole / "panels" / "00000006.png")
    assert panel.shape[2] == 3
    assert 20 < panel.mean() < 235
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    assert rj.deblur(image, weights=whole / "final.safetensors").shape == image.shape


def test_tensorboard_holds_what_the_log_does(whole):
    from tensorboardX.proto import event_pb2

    (path,) = (whole / "tensorboard").glob("events.out.tfevents.*")
    data, found = path.read_bytes(), {}
    while data:  # records: length, crc, payload, crc
        size = int.from_bytes(data[:8], "little")
        event, data = event_pb2.Event.FromString(data[12 : 12 + size]), data[16 + size :]
        found |= {(event.step, value.tag): value for value in event.summary.value}
    for line in lines(whole):
        step = line.pop("step")
        for name, value in line.items():
            assert found[step, name].simple_value == pytest.approx(value, rel=1e-6, nan_ok=True)
    assert found[6, "panels"].image.height > 32


def test_a_run_that_dies_goes_on_and_ends_where_it_would_have(whole, tmp_path, monkeypatch, capsys):
    dying_at(6, monkeypatch, KeyboardInterrupt)
    assert cli.main(arguments(tmp_path)) == 130
    assert not (tmp_path / "final.safetensors").exists()
    monkeypatch.undo()
    assert cli.main(arguments(tmp_path)) == 0
    assert "resumed from step 4" in capsys.readouterr().out
    assert_same_weights(whole, tmp_path)
    assert [line["step"] for line in lines(tmp_path)] == [0, 2, 3, 4, 6, 6]


def test_sigterm_saves_and_ends(whole, tmp_path, monkeypatch, capsys):
    step = Log.step

    def terminated(self, number, metrics):
        step(self, number, metrics)
        if number == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Log, "step", terminated)
    assert cli.main(arguments(tmp_path)) == 0
    assert "stopped at step 3, which is saved" in capsys.readouterr().out
    monkeypatch.undo()
    assert cli.main(arguments(tmp_path)) == 0
    assert "resumed from step 3" in capsys.readouterr().out
    assert_same_weights(whole, tmp_path)


def test_where_a_run_starts(whole, tmp_path, capsys):
    final = whole / "final.safetensors"
    both = (f"resume={str(whole)!r}", f"init_weights={str(final)!r}", "total_steps=8")
    assert cli.main(arguments(tmp_path / "a", *both)) == 0
    assert f"step 6 of {whole}" in capsys.readouterr().out
    assert [line["step"] for line in lines(tmp_path / "a")] == [8]
    assert cli.main(arguments(tmp_path / "a", *both, "total_steps=10")) == 0
    said = capsys.readouterr().out
    assert "resumed from step 8" in said
    assert "changed since this run began: total_steps: 8 -> 10" in said
    assert cli.main(arguments(tmp_path / "b", both[1], "total_steps=2", "optim.rate=0.0")) == 0
    assert f"weights {final}" in capsys.readouterr().out
    assert_same_weights(whole, tmp_path / "b", rtol=1e-6)  # the mean of equal weights rounds


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.optim.speed=3", "--config.optim.speed: the config has no such key; it has"),
        ("--config.nothing.rate=3", "--config.nothing.rate: the config has no 'nothing'"),
        ("--config.total_steps=many", "--config.total_steps=many: "),
        ("--rate=3", "--rate=3: unknown argument"),
        ("--data=nowhere", "nowhere: no such folder"),
        ("--config.data.source='photo'", "data.source is 'photo'"),
        ("--config.resume='nowhere'", "nowhere: config.resume names a run's workdir"),
        ("--config.init_weights='nothing'", "nothing: no such weights"),
        ("--config.init_weights='dmenet-small'", "of ifan"),
        ("--process=1", "--coordinator, --processes and --process belong together"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, capsys, argument, message):
    assert cli.main([*arguments(tmp_path / "run"), argument]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "run").exists()


def test_a_missing_config_is_one_line(tmp_path, capsys):
    assert cli.main(["train", "--config=nothing.py", f"--workdir={tmp_path}"]) == 2
    assert "nothing.py: no such config file" in capsys.readouterr().err


def test_nan_stops_the_run_and_the_last_good_checkpoint_stays(tmp_path, monkeypatch, capsys):
    make = loader.training_batches

    def batches(source, data, seed, first, *where):
        for number, batch in enumerate(make(source, data, seed, first, *where), first + 1):
            sharp = batch["sharp"].astype(np.float32) / 255
            yield {"sharp": sharp * (np.nan if number == 7 else 1)}

    monkeypatch.setattr(loader, "training_batches", batches)
    often = ("total_steps=20", "checkpoint_every=4", "log_every=5", "evaluation.every=0")
    assert cli.main(arguments(tmp_path, *often)) == 1
    assert "not finite at step 7; the last checkpoint is from before it" in capsys.readouterr().err
    assert max(line["step"] for line in lines(tmp_path)) <= 10
    monkeypatch.undo()
    # Nothing but the good checkpoint is there, and it loads.
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["4"]
    assert cli.main(arguments(tmp_path, "total_steps=5", *often[1:])) == 0
    assert "resumed from step 4" in capsys.readouterr().out


def test_nothing_is_compiled_after_the_second_step(tmp_path, monkeypatch):
    compiled, at_step, listening = [], {}, [True]

    def listen(event, duration, **_):
        if listening and event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    step = Log.step

    def counted(self, number, metrics):
        step(self, number, metrics)
        at_step[number] = len(compiled)

    monkeypatch.setattr(Log, "step", counted)
    assert cli.main(arguments(tmp_path, "total_steps=8", "model.options.num_filters=3")) == 0
    listening.clear()
    assert at_step[1] > 0
    assert len(set(at_step.values()) - {at_step[1]}) <= 1
    assert at_step[2] == at_step[8]


def test_a_profile_of_chosen_steps(tmp_path):
    assert cli.main(arguments(tmp_path, "profile=(2, 3)", "total_steps=4", "evaluation.every=0")) == 0
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_accumulation_is_the_whole_batch(tmp_path):
    one = ("total_steps=3", "log_every=1", "evaluation.every=0", "data.batch_size=4")
    for parts in (1, 2):
        assert cli.main(arguments(tmp_path / str(parts), *one, f"accumulate={parts}")) == 0
    whole, parts = lines(tmp_path / "1"), lines(tmp_path / "2")
    for a, b in zip(whole, parts, strict=True):
        for name in ("loss", "gradient_norm", "gain_db"):
            assert a[name] == pytest.approx(b[name], rel=1e-5, abs=1e-5)


def test_bfloat16_computes_what_float32_does_roughly(tmp_path, whole):
    few = ("total_steps=2", "evaluation.every=0", "dtype=bfloat16")
    assert cli.main(arguments(tmp_path, *few)) == 0
    (line,) = lines(tmp_path)
    assert line["loss"] == pytest.approx(lines(whole)[1]["loss"], rel=0.05)
    assert line["loss"] != lines(whole)[1]["loss"]
    assert {value.dtype for value in flatten(rj.load(tmp_path / "final.safetensors").params).values()} == {
        np.dtype("f4")
    }


def test_four_pictures_are_learnt(tmp_path, monkeypatch):
    """Overfitting: the loss on four fixed pairs falls below 1e-3."""
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (4, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    pairs = {"sharp": sharp, "blurred": (0.7 * sharp.astype(np.float32) + 40).astype(np.uint8)}
    monkeypatch.setattr(loader, "training_batches", lambda *_: (pairs for _ in range(10**6)))
    rate = ("optim.rate=4e-3", "optim.schedule=cosine", "optim.weight_decay=0.0", "init=identity_filters")
    long = ("total_steps=600", "log_every=50", "checkpoint_every=600", "evaluation.every=0", "data.batch_size=4")
    still = ("augment.grey=0.0", "augment.noise=0.0", "model.options.width=8")
    assert cli.main(arguments(tmp_path, *rate, *long, *still)) == 0
    losses = [line["loss"] for line in lines(tmp_path)]
    assert losses[0] > 1e-3
    assert losses[-1] < 1e-3


@pytest.mark.parametrize("config", ["ifan", "ifan_16bit", "ifan_dual", "ifan_fac", "ifan_ablation", "ifan_noise"])
def test_every_config_makes_its_run(config):
    for variant in ("", {"ifan_ablation": "baseline,tiny", "ifan_noise": "0.21,tiny"}.get(config, "tiny")):
        made = load_config(f"configs/{config}.py:{variant}")
        models.create(made.model.name, **made.model.options)
        tasks.get(made.task)
        make_optimizer(made.optim)
    assert train.load_config is load_config
