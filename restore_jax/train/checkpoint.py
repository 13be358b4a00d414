"""Checkpoints of a run, by Orbax: written in the background, whole or not there, and read from the newest whole one."""

import pathlib
import re
import secrets
from collections.abc import Callable

import jax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from restore_jax.errors import InputError

# What TensorStore says first where a storage failed, and not what it holds.
_STORAGE = re.compile(
    r"\b(UNAVAILABLE|PERMISSION_DENIED|UNAUTHENTICATED|RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED|ABORTED|CANCELLED)\b"
)


class Checkpoints:
    """Checkpoints FOLDER/STEP. The newest `keep` are kept, and every step that `keep_period` divides (0: none)."""

    def __init__(self, folder, keep: int = 3, keep_period: int = 0):
        self._folder = pathlib.Path(folder).absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, keep_period=keep_period or None)
        try:
            self._manager = ocp.CheckpointManager(self._folder, options=options)
        except OSError as error:
            raise InputError(f"{folder}: cannot hold checkpoints: {error.strerror or error}") from error

    def save(self, step: int, state) -> None:
        """Write in the background; returns once arrays are copied. InputError if this or the last writing failed."""
        self._writing(step, lambda: self._manager.save(step, args=ocp.args.StandardSave(state)))

    def wait(self) -> None:
        """Wait until the checkpoint that is being written is whole. Raises InputError if writing failed."""
        self._writing(self._manager.latest_step(), self._manager.wait_until_finished)

    def restore_newest(self, like, say: Callable[[str], None]):
        """Read the newest whole checkpoint, laid out as `like`: (step, state), or None if there is no checkpoint.

        A damaged one is named through `say` and moved to damaged/ beside FOLDER. Raises InputError if all are damaged,
        and if the storage fails: then everything stays where it is.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        damaged = []
        for step in steps:
            try:
                state = self._manager.restore(step, args=ocp.args.StandardRestore(like))
                trouble = None
            except Exception as error:
                trouble = error
            reason = " ".join(str(trouble).split())[:160] if trouble else "another process cannot read its part"
            if _anywhere(trouble is not None and not _is_damage(trouble)):
                raise InputError(
                    f"{self._folder / str(step)}: cannot be read: {reason}; nothing was changed"
                ) from trouble
            if not _anywhere(trouble is not None):
                for number in damaged:
                    self._set_aside(number)
                return step, state
            say(f"{self._folder / str(step)}: damaged, the one before is used ({reason})")
            damaged.append(step)
        if damaged:
            raise InputError(f"{self._folder}: no checkpoint fits this run; the newest is step {damaged[0]}: {reason}")
        return None

    def close(self) -> None:
        """Wait for the checkpoint that is being written, and close the folder."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def _writing(self, step, write):
        try:
            write()
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self._folder}: the checkpoint of step {step} or before could not be written ({reason}); "
                f"earlier ones are as they were"
            ) from error

    def _set_aside(self, step):
        if jax.process_index() == 0:
            damaged = self._folder.parent / "damaged"
            damaged.mkdir(exist_ok=True)
            (self._folder / str(step)).rename(damaged / f"{step}-{secrets.token_hex(4)}")
        _anywhere(False)  # the other processes wait here until it is moved
        self._manager.reload()


def _is_damage(error: BaseException) -> bool:
    """Tell whether a checkpoint could not be read because of what it holds, not because its storage failed."""
    while error is not None:
        gone = isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError))
        if isinstance(error, (OSError, MemoryError)) and not gone:
            return False
        if _STORAGE.search(str(error)):
            return False
        error = error.__cause__ or error.__context__
    return True


def _anywhere(failed: bool) -> bool:
    """Tell whether something failed in any process."""
    if jax.process_count() == 1:
        return failed

    return bool(multihost_utils.process_allgather(failed).any())
