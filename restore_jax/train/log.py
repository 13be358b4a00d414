"""The log of a run: lines on the console and in metrics.jsonl, TensorBoard events, and a stop at NaN.

Numbers are read one step late, so that the device never waits for the console. Only process 0 writes.
"""

import contextlib
import json
import math
import pathlib
import time

import jax

from restore_jax.io import atomic


class Log:
    """The log of a run that goes on after step `first`; lines of later steps, which a crash left, are dropped."""

    def __init__(self, workdir, config, first: int):
        self._config, self._main = config, jax.process_index() == 0
        self._losses, self._pending, self._bad = [], None, 0
        self._since, self._since_step, self._waited = time.monotonic(), first, 0.0
        self._events = None
        if self._main:
            path = pathlib.Path(workdir) / "metrics.jsonl"
            _cut(path, first)
            self._file = open(path, "a")  # noqa: SIM115  closed by close()
            with contextlib.suppress(ImportError):
                from tensorboardX import SummaryWriter

                # Events of steps that were lost in a crash are hidden.
                self._events = SummaryWriter(str(pathlib.Path(workdir) / "tensorboard"), purge_step=first + 1)

    def say(self, text: str) -> None:
        """Print a line on the console."""
        if self._main:
            print(text, flush=True)

    @contextlib.contextmanager
    def waiting(self):
        """Measure the time inside as waiting for data, whose share is logged."""
        began = time.monotonic()
        yield
        self._waited += time.monotonic() - began

    def step(self, step: int, metrics) -> None:
        """Take the metrics of a step (device arrays) and log those of the step before."""
        if self._pending is not None:
            self._report()
        self._losses.append((step, metrics["loss"], metrics["gradient_norm"]))
        if step % self._config.log_every == 0 or step == self._config.total_steps:
            self._pending = (step, metrics)

    def check(self) -> None:
        """Raise FloatingPointError, naming the step, if the loss or gradient of a step so far is not finite.

        Up to config.optim.skip_nonfinite such steps in a row are allowed: the optimiser skipped them.
        """
        steps = [step for step, _, _ in self._losses]
        values = jax.device_get([pair for _, *pair in self._losses])
        self._losses = []
        for step, pair in zip(steps, values, strict=True):
            self._bad = 0 if all(map(math.isfinite, pair)) else self._bad + 1
            if self._bad > self._config.optim.skip_nonfinite:
                raise FloatingPointError(
                    f"the loss or gradient is not finite at step {step}; the last checkpoint is from before it"
                )

    def write(self, step: int, values: dict[str, float]) -> None:
        """Write a line of numbers to metrics.jsonl, and each number to TensorBoard."""
        if not self._main:
            return
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)
            self._events.flush()

    def picture(self, step: int, name: str, pixels) -> None:
        """Write an (h, w, 3) uint8 picture for TensorBoard."""
        if self._main and self._events is not None:
            self._events.add_image(name, pixels, step, dataformats="HWC")
            self._events.flush()

    def flush(self) -> None:
        """Log the metrics that are still to be read."""
        if self._pending is not None:
            self._report()
        self.check()

    def close(self) -> None:
        """Close the files."""
        if self._main:
            self._file.close()
            if self._events is not None:
                self._events.close()

    def _report(self):
        (step, metrics), self._pending = self._pending, None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        now = time.monotonic()
        spent, steps = max(now - self._since, 1e-9), step - self._since_step
        rate, waited = steps / spent, self._waited / spent
        self._since, self._since_step, self._waited = now, step, 0.0
        images = rate * self._config.data.batch_size
        left = (self._config.total_steps - step) / rate if rate else 0.0
        self.write(step, {**values, "steps_per_second": rate, "images_per_second": images, "waiting_for_data": waited})
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.say(
            f"step {step}/{self._config.total_steps}  {shown}  {rate:.2f} steps/s  {images:.1f} images/s  "
            f"{left:.0f} s left"
        )
        self.check()


def _cut(path, first):
    """Drop the lines of steps after `first`, and a last line that a crash cut short."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if json.loads(line)["step"] <= first:
                kept.append(line)
    atomic.write(path, "".join(f"{line}\n" for line in kept).encode())
