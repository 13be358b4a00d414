"""SIGTERM, which schedulers send before they take a machine away: ends a run at the next step, its state saved."""

import signal
import threading

import jax
from jax.experimental import multihost_utils


class Interrupt:
    """Watches for SIGTERM: inside `with Interrupt() as interrupt`, `interrupt.came(step)` says whether to stop."""

    def __enter__(self):
        self._came, self._before = False, None
        # With several processes the distributed runtime watches for the signal. Only the main thread may.
        if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_):
        self._came = True

    def came(self, step: int) -> bool:
        """Say whether any process was told to stop; every process must ask after every step and hears the same."""
        if jax.process_count() == 1:
            return self._came

        return multihost_utils.reached_preemption_sync_point(step)
