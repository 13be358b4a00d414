"""A profile of chosen steps, for TensorBoard's or Perfetto's viewer."""

import jax


class Profile:
    """Profiles steps first to last: `with Profile((first, last), folder) as profile`, `profile.before(step)` each step.

    (0, 0) profiles nothing.
    """

    def __init__(self, steps, folder):
        self._first, self._last = steps
        self._folder, self._running = str(folder), False

    def __enter__(self):
        return self

    def before(self, step: int) -> None:
        """Start before the first of the chosen steps, stop before the one after the last."""
        if not self._running and step == self._first:
            jax.profiler.start_trace(self._folder)
            self._running = True
        elif self._running and step == self._last + 1:
            self._stop()

    def __exit__(self, *_):
        if self._running:
            self._stop()

    def _stop(self):
        jax.profiler.stop_trace()
        self._running = False
