"""Train a network: python -m restore_jax.train --config=configs/ifan.py --workdir=DIR

The same command goes on where a stopped run was. Everything a run does is in its config; the loop knows no model and
no task. WORKDIR gets config.json, checkpoints/, metrics.jsonl, and at the end final.safetensors for `restore-jax deblur
--weights`.
"""

import argparse
import json
import pathlib
import sys
import time

from restore_jax.errors import InputError


def main(argv=None) -> int:
    """Command line of the trainer. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="restore-jax train", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE[:ARG]", help="config file and its variant: configs/ifan.py:tiny"
    )
    parser.add_argument("--workdir", required=True, metavar="DIR", help="where the run lives")
    arguments, overrides = parser.parse_known_args(argv)
    config = load_config(arguments.config, overrides)
    train(config, arguments.workdir)
    return 0


def train(config, workdir) -> None:
    """Run `config` to its last step, from the newest checkpoint in `workdir` if there is one."""
    import jax

    from restore_jax import models, tasks, weights
    from restore_jax.data import photos
    from restore_jax.training.checkpoint import Checkpoints
    from restore_jax.training.optim import make_optimizer
    from restore_jax.training.state import create_state
    from restore_jax.training.step import make_step

    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "config.json").write_text(config.to_json(indent=2))

    model = models.create(config.model.name, **config.model.options)
    task = tasks.get(config.task)
    optimizer = make_optimizer(config.optim)
    sources = photos.load_photos(config.data.folders, config.data.size)
    step = make_step(model, task, optimizer, config)
    if config.init_weights:
        params = weights.load_into(config.init_weights, config.model.name, config.model.options)
    else:
        params = task.initial_params(model, jax.random.key(config.seed), config)
    state = create_state(params, optimizer)

    checkpoints = Checkpoints(workdir, config.keep_checkpoints)
    if (newest := checkpoints.newest_step()) is not None:
        state = checkpoints.restore(newest, state)
        print(f"resumed from step {newest}", flush=True)
    else:
        newest = 0

    try:
        state = run(state, newest, step, sources, checkpoints, config, workdir / "metrics.jsonl")
    finally:
        checkpoints.close()
    card = {"config": json.loads(config.to_json()), "steps": int(state.step)}
    weights.save(
        workdir / "final.safetensors",
        jax.device_get(state.ema),
        config.model.name,
        config.model.options.to_dict(),
        card,
    )
    print(f"wrote {workdir / 'final.safetensors'}", flush=True)


def run(state, first, step, sources, checkpoints, config, log_path):
    """Steps `first` to config.total_steps; returns the last state, which is checkpointed."""
    from restore_jax.data import photos

    data, total = config.data, config.total_steps
    pending, since = None, time.monotonic()
    with open(log_path, "a") as log:
        try:
            for number in range(first + 1, total + 1):
                crops = photos.batch(sources, config.seed, number, data.size, data.batch_size, data.min_scale)
                state, metrics = step(state, {"sharp": crops})
                # Logged one step late, so that the device never waits for the console.
                if pending is not None:
                    due, pending = pending, None
                    since = report(log, *due, since, config)
                if number % config.log_every == 0:
                    pending = (number, metrics)
                if number % config.checkpoint_every == 0 or number == total:
                    checkpoints.save(number, state)
        finally:
            if pending is not None:
                report(log, *pending, since, config)
    return state


def report(log, step, metrics, since, config) -> float:
    """One line to the console, one to the log; stops the run at a NaN. Returns the time now."""
    values = {name: float(value) for name, value in metrics.items()}
    now = time.monotonic()
    rate = config.log_every / (now - since)
    left = (config.total_steps - step) / rate
    log.write(json.dumps({"step": step, **values, "steps_per_second": rate}) + "\n")
    log.flush()
    shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
    print(f"step {step}/{config.total_steps}  {shown}  {rate:.2f} steps/s  {left / 60:.0f} min left", flush=True)
    if values["loss"] != values["loss"] and not config.optim.skip_nonfinite:
        raise FloatingPointError(f"the loss is NaN at step {step}; the last checkpoint is from before it")
    return now


def load_config(source: str, overrides):
    """The ml_collections config of FILE[:ARG], with `--config.a.b=value` overrides applied. Raises InputError."""
    import importlib.util

    file, _, variant = source.partition(":")
    if not pathlib.Path(file).is_file():
        raise InputError(f"{file}: no such config file")
    spec = importlib.util.spec_from_file_location("restore_jax_config", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(variant)
    for override in overrides:
        name, equals, value = override.removeprefix("--config.").partition("=")
        if not override.startswith("--config.") or not equals:
            raise InputError(f"{override}: unknown argument; overrides look like --config.optim.rate=1e-4")
        _override(config, name, value)
    return config.lock()


def _override(config, name, text):
    import ast

    *path, leaf = name.split(".")
    node = config
    for part in path:
        if part not in node:
            raise InputError(f"--config.{name}: the config has no {part!r}")
        node = node[part]
    if leaf not in node:
        raise InputError(f"--config.{name}: the config has no such key; it has {', '.join(node.keys())}")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    try:
        node[leaf] = value
    except (TypeError, ValueError) as error:
        raise InputError(f"--config.{name}={text}: {error}") from error


if __name__ == "__main__":
    from restore_jax import cli  # the same command, so that errors read the same

    sys.exit(cli.main(["train", *sys.argv[1:]]))
