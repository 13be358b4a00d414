"""Checkpoints of a run: Orbax, atomic, the newest few kept."""

import pathlib

import jax
import orbax.checkpoint as ocp


class Checkpoints:
    """WORKDIR/checkpoints: save(step, state), restore the newest into the shape of a given state."""

    def __init__(self, workdir, keep: int = 3):
        options = ocp.CheckpointManagerOptions(max_to_keep=keep)
        self._manager = ocp.CheckpointManager(pathlib.Path(workdir).absolute() / "checkpoints", options=options)

    def newest_step(self) -> int | None:
        """The newest step saved, None for a new run."""
        return self._manager.latest_step()

    def save(self, step: int, state) -> None:
        """Write in the background; returns once the arrays are copied."""
        self._manager.save(step, args=ocp.args.StandardSave(state))

    def restore(self, step: int, like):
        """The state saved at `step`, in the structure and sharding of `like`."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))

    def close(self) -> None:
        """Wait for what is being written."""
        self._manager.close()
