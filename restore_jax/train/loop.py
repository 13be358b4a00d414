"""A training run: its start, steps, checkpoints and evaluations, and the weights at its end.

The loop knows no model and no task. WORKDIR gets config.json, checkpoints/, metrics.jsonl, tensorboard/, panels/, and
at the end final.safetensors for `restore-jax deblur --weights`. A run that was stopped continues.
"""

import contextlib
import errno
import functools
import json
import pathlib

import jax

from restore_jax import models, tasks, weights
from restore_jax.cache import enable_compilation_cache
from restore_jax.data import loader
from restore_jax.data.sources import open_source
from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.io.photos import to_float, write_photo
from restore_jax.plots.panels import sheet
from restore_jax.report import say
from restore_jax.train.checkpoint import Checkpoints
from restore_jax.train.config import differences
from restore_jax.train.evaluation import evaluate_all, make_evaluation
from restore_jax.train.interrupt import Interrupt
from restore_jax.train.log import Log
from restore_jax.train.mesh import abstract_on, gathered, global_batch, make_mesh, shardings_of
from restore_jax.train.optim import make_optimizer
from restore_jax.train.profile import Profile
from restore_jax.train.state import create_state
from restore_jax.train.step import make_step


def join_processes(coordinator=None, processes=None, process=None) -> None:
    """Make this process one of several of a run; None of all three: the cluster describes them."""
    jax.distributed.initialize(coordinator, processes, process)


def train(config, workdir) -> pathlib.Path | None:
    """Run `config` to its last step, from the newest checkpoint in `workdir` if there is one.

    Returns the path of final.safetensors, None if the run was told to stop before. Raises InputError for bad input and
    a full disk, FloatingPointError when the loss is not finite.
    """
    workdir = pathlib.Path(workdir)
    try:
        return _train(config, workdir)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS):
            raise
        raise InputError(f"{workdir}: cannot be written: {error.strerror}; checkpoints are as they were") from error


def _train(config, workdir):
    enable_compilation_cache()

    def fresh():
        return create_state(task.initial_params(model, jax.random.key(config.seed), config), optimizer, phases)

    # Build what runs. Nothing here touches the disk, so that bad input leaves no trace.
    with _of_the_config():
        for name in ("total_steps", "log_every", "checkpoint_every", "accumulate", "data.batch_size", "data.size"):
            value = functools.reduce(getattr, name.split("."), config)
            if value < 1:
                raise InputError(f"config.{name}={value}: must be 1 or more")
        if not (workdir / "checkpoints").exists():
            check_start(config)
        mesh = make_mesh(config.mesh.fsdp)
        computing = {"dtype": jax.numpy.dtype(config.dtype), **({"remat": True} if config.remat else {})}
        model = models.create(config.model.name, **config.model.options, **computing)
        task = tasks.get(config.task)
        optimizer, phases = make_optimizer(config.optim), task.phases(config)
        if config.data.batch_size % (config.accumulate * jax.device_count()):
            raise InputError(
                f"data.batch_size={config.data.batch_size} does not divide over accumulate={config.accumulate} parts "
                f"on {jax.device_count()} devices"
            )
        tell = say if jax.process_index() == 0 else (lambda line: None)
        streams = [(open_source(data, tell), data) for data in (config.data, *config.get("streams", {}).values())]
        evaluation_source = open_source(config.evaluation.data, tell) if config.evaluation.every else None
        abstract = abstract_on(mesh, jax.eval_shape(fresh))
    here, processes = jax.process_index(), jax.process_count()

    with contextlib.ExitStack() as closing:
        if here == 0:
            closing.enter_context(atomic.locked(workdir, workdir))
        # Where it starts.
        keep_config(workdir, config)
        checkpoints = Checkpoints(workdir / "checkpoints", config.keep_checkpoints, config.keep_period)
        state, first, start = starting_point(abstract, fresh, optimizer, phases, checkpoints, config)
        log = Log(workdir, config, first)
        log.say(f"{start}; {jax.device_count()} x {jax.devices()[0].device_kind} in {processes} process(es)")

        step = make_step(model, task, optimizer, config, mesh, abstract)
        evaluate = make_evaluate(model, task, config, mesh, abstract, evaluation_source, log, workdir)
        rows = loader.merged(
            [
                loader.training_batches(*stream, config.seed + n, first, here, processes)
                for n, stream in enumerate(streams)
            ]
        )
        for used in (checkpoints, log, rows):
            closing.callback(used.close)
        with Interrupt() as interrupt, Profile(config.profile, workdir / "profile") as profile:
            if first == 0:
                evaluate(0, state)
            number, stop = first, False
            while number < config.total_steps and not stop:
                number += 1
                with log.waiting():
                    batch = next(rows)
                profile.before(number)
                state, metrics = step(state, global_batch(batch, mesh))
                log.step(number, metrics)
                stop = interrupt.came(number)
                if number % config.checkpoint_every == 0 or number == config.total_steps or stop:
                    log.flush()  # stops the run here if a loss was not finite, so that it is not saved
                    checkpoints.save(number, state)
                if config.evaluation.every and number % config.evaluation.every == 0:
                    evaluate(number, state)
        checkpoints.wait()
        if number < config.total_steps:
            log.say(f"stopped at step {number}, which is saved; the same command goes on from there")
            return None
        return write_weights(workdir / "final.safetensors", state, task, config, log)


@contextlib.contextmanager
def _of_the_config():
    """Turn errors about what a config asks for, or lacks, into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"config: {type(error).__name__}: {' '.join(str(error).split())}") from error


def keep_config(workdir, config) -> None:
    """Write the resolved config to WORKDIR/config.json, and print how it differs from that of the run so far."""
    path = workdir / "config.json"
    text = config.to_json(indent=2)
    if jax.process_index() != 0:
        return
    if path.exists():
        for line in differences(json.loads(path.read_text()), json.loads(text)):
            print(f"changed since this run began: {line}", flush=True)
    atomic.write(path, text.encode())


def check_start(config) -> None:
    """Raise InputError if a run's starting point is not there, or if its weights are another network's."""
    if config.resume:
        resumed_checkpoints(config.resume)
    elif config.init_weights:
        weights.load_into(config.init_weights, config.model.name, config.model.options)


def resumed_checkpoints(workdir: str) -> pathlib.Path:
    """Return the checkpoints of the run that config.resume names. Raises InputError if it has none."""
    folder = pathlib.Path(workdir) / "checkpoints"
    if not folder.is_dir():
        raise InputError(f"{workdir}: config.resume names a run's workdir, but it has no checkpoints/")
    return folder


def starting_point(abstract, fresh, optimizer, phases, checkpoints, config):
    """Return (state, its step, a line that says which it is) of a run's starting point.

    It is the newest checkpoint of the workdir, else of config.resume, else config.init_weights, else `fresh()`.
    """
    layout = shardings_of(abstract)
    if (found := checkpoints.restore_newest(abstract, say)) is not None:
        step, state = found
        return state, step, f"resumed from step {step}"
    if config.resume:
        folder = resumed_checkpoints(config.resume)
        other = Checkpoints(folder)
        found = other.restore_newest(abstract, say)
        other.close()
        if found is None:
            raise InputError(f"{folder}: holds no checkpoint")
        step, state = found
        return state, step, f"step {step} of {config.resume}"
    if config.init_weights:
        params = weights.load_into(config.init_weights, config.model.name, config.model.options)
        state = jax.jit(lambda p: create_state(p, optimizer, phases), out_shardings=layout)(params)
        return state, 0, f"weights {config.init_weights}"
    return jax.jit(fresh, out_shardings=layout)(), 0, "fresh parameters"


def make_evaluate(model, task, config, mesh, abstract, source, log, workdir):
    """Make a function (step, state) that logs the evaluation's means and writes its first pictures to panels/."""
    if source is None:
        return lambda step, state: None
    function = make_evaluation(model, task, config, mesh, shardings_of(abstract.ema))
    here, devices = (jax.process_index(), jax.process_count()), jax.device_count()
    data = config.evaluation.data.copy_and_resolve_references()
    data.batch_size = -(-data.batch_size // devices) * devices

    def evaluate(step, state):
        means, pictures = evaluate_all(function, state.ema, loader.evaluation_batches(source, data, *here), mesh)
        values = {f"evaluation/{name}": value for name, value in means.values().items()}
        log.write(step, values)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in means.values().items())
        log.say(f"step {step}  evaluation of {means.count} examples: {shown}")
        if pictures and jax.process_index() == 0:
            panel = sheet(pictures)
            write_photo(workdir / "panels" / f"{step:08d}.png", to_float(panel))
            log.picture(step, "panels", panel)

    return evaluate


def write_weights(path, state, task, config, log) -> pathlib.Path:
    """Write the mean parameters and statistics (EMA) to a file that `restore-jax deblur --weights` takes."""
    card = {"config": json.loads(config.to_json()), "steps": config.total_steps, **getattr(task, "CARD", {})}
    params = gathered(state.ema)
    if jax.process_index() == 0:
        weights.save(path, params, config.model.name, config.model.options.to_dict(), card)
    log.say(f"wrote {path}")
    return path
