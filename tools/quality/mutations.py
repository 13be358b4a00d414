"""Put faults into a copy of the tree, run the tests that should see them, and say which do: what the tests are worth.

    python -m tools.quality.mutations                 # all faults, a Markdown table; about a minute each
    python -m tools.quality.mutations tiles noise     # those whose name holds one of the words
    python -m tools.quality.mutations --check         # apply each, run nothing: does every fault still fit the code?

A fault names a definition (a function, `Class.method`, a class or a constant), a piece of its text and what stands
there instead. Definitions are found by name wherever they lie, so files may move. Tests are found by name as well.
"""

import argparse
import ast
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPIED = ("restore_jax", "configs", "data_prep", "tests", "tools", "pyproject.toml", "README.md", "docs")
LIMIT = 600  # seconds for the tests of one fault; a test that hangs has seen it


class Fault(NamedTuple):
    """`old` in the definition called `where` becomes `new`; `tests` are files, `chosen` is pytest's -k for them."""

    name: str
    where: str
    old: str
    new: str
    tests: str
    chosen: str = ""


FAULTS = [
    # Training objective of IFAN.
    Fault(
        "reblur target is the sharp image",
        "loss",
        'block_mean(inputs["blurred"], 8)',
        'block_mean(inputs["sharp"], 8)',
        "test_objectives",
    ),
    Fault(
        "reblur weight doubled",
        "loss",
        "weights.reblur * losses.mse",
        "2 * weights.reblur * losses.mse",
        "test_objectives",
    ),
    Fault(
        "left and right swapped in the disparity loss",
        "disparity_loss",
        "warp_horizontal(block_mean(right, 8), disparity), block_mean(left, 8)",
        "warp_horizontal(block_mean(left, 8), disparity), block_mean(right, 8)",
        "test_objectives",
    ),
    Fault(
        "disparity of the input in place of that of the right view",
        "loss",
        'outputs.get("disparity_right", outputs["disparity"])',
        'outputs["disparity"]',
        "test_objectives",
    ),
    Fault(
        "dual-pixel views in the wrong order",
        "_apply",
        '"right": inputs["right"], "left": inputs["left"]',
        '"right": inputs["left"], "left": inputs["right"]',
        "test_objectives",
    ),
    # Randomness.
    Fault(
        "the same key at every step",
        "make_step",
        "jax.random.fold_in(jax.random.key(config.seed), state.step)",
        "jax.random.key(config.seed)",
        "test_randomness",
    ),
    Fault(
        "the same key for every row",
        "make_step",
        "keys = jax.random.split(key, jax.tree.leaves(batch)[0].shape[0])",
        "keys = jnp.broadcast_to(key, jax.tree.leaves(batch)[0].shape[:1])",
        "test_randomness",
    ),
    Fault(
        "the same key for every evaluated example",
        "make_evaluation",
        'jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(config.evaluation.seed)))(batch["index"])',
        'jax.random.split(jax.random.key(config.evaluation.seed), batch["index"].shape[0])',
        "test_randomness",
    ),
    Fault(
        "noise and its sigma from one key",
        "inputs",
        "sigma = jax.random.uniform(sigma_key, maxval=config.augment.noise_max)\n    noisy",
        "sigma = jax.random.uniform(noise_key, maxval=config.augment.noise_max)\n    noisy",
        "test_randomness",
    ),
    Fault(
        "noise of the deblurring task and its sigma from one key",
        "_random_noise",
        "jax.random.uniform(sigma_key",
        "jax.random.uniform(noise_key",
        "test_randomness",
    ),
    # The mean and the checkpoints.
    Fault(
        "evaluation of raw parameters",
        "make_evaluate",
        "function, state.ema, ",
        "function, {**state.params, **state.statistics}, ",
        "test_run_keeps",
    ),
    Fault(
        "final.safetensors of raw parameters",
        "write_weights",
        "gathered(state.ema)",
        "gathered({**state.params, **state.statistics})",
        "test_run_keeps",
    ),
    Fault(
        "ema_decay ignored",
        "make_step",
        "jnp.minimum(config.ema_decay, done / (done + 10.0))",
        "done / (done + 10.0)",
        "test_run_keeps",
    ),
    Fault(
        "two checkpoints more are kept",
        "Checkpoints.__init__",
        "max_to_keep=keep,",
        "max_to_keep=keep + 2,",
        "test_run_keeps",
    ),
    Fault(
        "keep_period ignored",
        "Checkpoints.__init__",
        "keep_period=keep_period or None",
        "keep_period=None",
        "test_run_keeps",
    ),
    Fault(
        "boundaries not shifted by the warm-up",
        "make_schedule",
        "int(step) - warm: config.decay",
        "int(step): config.decay",
        "test_run_keeps",
    ),
    Fault("any error is damage", "_is_damage", "while error is not None:", "while False:", "test_run_keeps"),
    Fault("skipped batches do not count", "Log.check", "else self._bad + 1", "else self._bad", "test_run_keeps"),
    Fault("accumulated gradients are summed", "_mean", "x / count, total", "x, total", "test_step"),
    # Data.
    Fault(
        "truth of training windows is the noisy view",
        "training_window",
        'clean, _ = filmed["lrs"]',
        '_, clean = filmed["lrs"]',
        "test_training_examples",
    ),
    Fault(
        "truth of whole streams is the noisy view",
        "triple_streams",
        'clean if name == "uw" else noisy',
        "noisy",
        "test_training_examples",
    ),
    Fault(
        "noise of maps nine times as strong",
        "inputs",
        'views["image"] + sigma *',
        'views["image"] + 9 * sigma *',
        "test_randomness",
    ),
    Fault(
        "render.psf ignored",
        "_render",
        "settings.max_coc, settings.psf, settings.num_layers), 0, 1)",
        'settings.max_coc, "disc", settings.num_layers), 0, 1)',
        "test_training_examples",
    ),
    Fault("augment.noise is always", "_random_noise", "< augment.noise\n", "< 1.0\n", "test_randomness"),
    Fault(
        "augment.grey of deblurring is doubled",
        "inputs",
        "config.augment.grey\n    if",
        "2 * config.augment.grey\n    if",
        "test_randomness",
    ),
    Fault(
        "domain labels of real and synthetic swapped",
        "discriminator_loss",
        '{"image": 1.0, "real": 0.0}',
        '{"image": 0.0, "real": 1.0}',
        "test_task_defocus_map",
        "equations",
    ),
    # Streams.
    Fault(
        "all tiles resume with the state of the first",
        "_Tiles.__init__",
        'state[f"tile{number}"]',
        'state["tile0"]',
        "test_stream_state",
    ),
    Fault(
        "the state of a stream is reset",
        "_Tiles.restored",
        "self._states[number] = results[-1][1]",
        "self._states[number] = None",
        "test_stream_state",
    ),
    Fault("BasicVSR sees 4 frames ahead", "Chunks", "0, 16, 28, 0", "0, 16, 4, 0", "test_stream_state", "seam"),
    Fault("tiles on a grid of 8 pixels", "GRID", "= 16", "= 8", "test_tile_grid"),
    Fault(
        "a stream keeps all it has seen",
        "_Tiles.restored",
        "window.popleft()",
        "self.__dict__.setdefault('kept', []).append(window.popleft())",
        "test_engines",
        "memory",
    ),
    Fault(
        "the adaptation cache ignores values",
        "_key",
        "name.encode() + np.ascontiguousarray(array).tobytes()",
        "name.encode() + repr(array.shape).encode()",
        "test_memory",
        "anew",
    ),
    Fault("the last bank is kept", "adapt", "if history[-1] > max(history[:-1]):", "if True:", "test_memory", "best"),
    Fault(
        "adaptation has no patience",
        "adapt",
        "epoch >= PATIENCE and max",
        "epoch >= 1 and max",
        "test_memory",
        "stops or goes_on",
    ),
    Fault(
        "adaptation never ends early",
        "adapt",
        "epoch >= PATIENCE and max",
        "epoch >= 99 and max",
        "test_memory",
        "stops or goes_on",
    ),
    Fault(
        "segments in the order of their names' text",
        "write",
        "target.join(paths, counts, joined)",
        "target.join(sorted(paths, key=lambda p: str(int(p.stem))), counts, joined)",
        "test_stream_state",
    ),
    Fault(
        "another job's segments are taken",
        "_resumed",
        'if found["job"] == json.loads(json.dumps(job)):',
        "if True:",
        "test_stream_state",
    ),
    Fault(
        "IconVSR off the grid of keyframes",
        "Clips.__init__",
        "4 * interface.period",
        "4 * interface.period + 1",
        "test_stream_state",
    ),
    Fault(
        "the reference's offset has the wrong sign",
        "clip_frames",
        "wide.times[indices] + found.offset",
        "wide.times[indices] - found.offset",
        "test_stream_state",
    ),
    # Doors.
    Fault(
        "the gate follows no links", "Gate._inside", "os.path.realpath(path)", "os.path.normpath(path)", "test_doors"
    ),
    Fault(
        "a card without sha256 passes",
        "verify",
        'card(name).get("sha256")',
        'card(name).get("sha256", digest)',
        "test_doors",
    ),
    Fault("shipped weights are loaded unchecked", "_read", "verify(name)", "pass", "test_doors"),
    Fault("BT.709 from 576 lines on", "_matrix", "frame.height > 576", "frame.height >= 576", "test_doors"),
    Fault(
        "BT.709 by the height alone",
        "_matrix",
        "frame.height > 576 or frame.width >= 1280",
        "frame.height > 576",
        "test_doors",
    ),
    Fault(
        "archives are unpacked whatever they hold",
        "refuse_bomb",
        "if held > max",
        "if False and held > max",
        "test_doors",
    ),
    # What ships, and where it begins.
    Fault(
        "shipped weights are noise",
        "_computed_in",
        "np.asarray(value, np.float32)",
        "np.random.default_rng(0).normal(0, 0.05, value.shape).astype(np.float32)",
        "test_shipped_weights",
        "gains and ifan",
    ),
    Fault(
        "filters and their mean change places",
        "filters_at_their_mean",
        "deblurred(restorer)[0] - deblurred(constant)[0]",
        "deblurred(restorer)[0] - deblurred(constant)[1]",
        "test_shipped_weights",
        "mechanism and ifan",
    ),
    Fault(
        "the filter predictor begins without its gain",
        "IFAN.setup",
        "1, F_GAIN, self.dtype",
        "1, 1.0, self.dtype",
        "test_initial_scale",
    ),
    Fault("Xavier's gain is not squared", "conv", "gain**2", "gain", "test_initial_scale"),
]


def find(root: pathlib.Path, fault: Fault) -> tuple[pathlib.Path, str]:
    """Return the file that holds the fault's definition, and its text with the fault. ValueError unless it is one."""
    found = []
    for path in sorted([*(root / "restore_jax").rglob("*.py"), *(root / "tests").rglob("*.py")]):
        text = path.read_text()
        for start, stop in _places(text, fault.where):
            if text[start:stop].count(fault.old) == 1:
                found.append((path, text[:start] + text[start:stop].replace(fault.old, fault.new) + text[stop:]))
    if len(found) != 1:
        raise ValueError(f"{fault.name}: {fault.old!r} is in {len(found)} definitions called {fault.where}")
    return found[0]


def _places(text, where):
    """(start, stop) in `text` of each definition of that name."""
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))

    def walk(nodes, prefix):
        for node in nodes:
            if isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            else:
                names = [node.name] if hasattr(node, "name") else []
            if where in (prefix + name for name in names):
                yield lines[node.lineno - 1], lines[node.end_lineno]
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}{node.name}.")

    return list(walk(ast.parse(text).body, ""))


def caught(fault: Fault) -> bool:
    """Whether the tests of a fault fail in a copy of the tree that has it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in COPIED:
            source = ROOT / name
            ignore = shutil.ignore_patterns("__pycache__", "images")
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=ignore)
            else:
                shutil.copy(source, copy / name)
        path, text = find(copy, fault)
        path.write_text(text)
        files = [str(path) for name in fault.tests.split() for path in (copy / "tests").rglob(f"{name}.py")]
        if not files:
            raise ValueError(f"{fault.name}: no tests are called {fault.tests}")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
        command += ["-k", fault.chosen] if fault.chosen else []
        try:
            done = subprocess.run(
                command, cwd=copy, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            return True
        if done.returncode not in (0, 1):
            raise ValueError(f"{fault.name}: pytest exits with {done.returncode}: {done.stdout.decode()[-500:]}")
        return done.returncode == 1


def main(argv=None) -> int:
    """Print the table; the exit code is 1 if a fault survives or fits no more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose name holds one of these")
    parser.add_argument("--check", action="store_true", help="apply the faults, run no test")
    arguments = parser.parse_args(argv)
    chosen = [f for f in FAULTS if not arguments.words or any(word in f.name for word in arguments.words)]
    wrong = 0
    if not arguments.check:
        print("| fault | in | tests | |\n|---|---|---|---|")
    for fault in chosen:
        try:
            path, _ = find(ROOT, fault)
            if arguments.check:
                continue
            verdict = "caught" if caught(fault) else "**survived**"
        except ValueError as error:
            print(error, file=sys.stderr, flush=True)
            wrong += 1
            continue
        wrong += verdict != "caught"
        print(f"| {fault.name} | `{path.stem}.{fault.where}` | `{fault.tests}` | {verdict} |", flush=True)
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
