"""Placement of arrays on devices: a mesh of data x fsdp, batches split over both, parameters over fsdp or copied.

The code is the same for one device, eight GPUs and a pod: jax.jit sees global arrays and adds the communication.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp")
MIN_SIZE = 1024  # numbers; smaller arrays are copied, because splitting them costs more than it saves


def make_mesh(fsdp: int = 1, devices=None) -> Mesh:
    """Arrange devices (default: all) as (data, fsdp); each parameter is split over `fsdp` of them.

    Devices are in the order of their processes, so that a process holds consecutive rows of a batch. Raises ValueError
    if fsdp does not divide their number.
    """
    devices = sorted(devices or jax.devices(), key=lambda d: (d.process_index, d.id))
    if fsdp < 1 or len(devices) % fsdp:
        raise ValueError(f"mesh.fsdp={fsdp} does not divide the {len(devices)} devices")
    return Mesh(np.asarray(devices).reshape(-1, fsdp), AXES)


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding that copies an array to every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Return the sharding that splits rows over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def partition(x, mesh: Mesh) -> PartitionSpec:
    """Return how an array of a state is split: along its largest side that fsdp divides; small arrays are copied."""
    parts = mesh.shape["fsdp"]
    sides = [side if side % parts == 0 else 0 for side in x.shape]
    if parts == 1 or not any(sides) or np.prod(x.shape) < MIN_SIZE:
        return PartitionSpec()
    where = int(np.argmax(sides))
    return PartitionSpec(*("fsdp" if n == where else None for n in range(len(sides))))


def state_sharding(state, mesh: Mesh):
    """Return a sharding for each array of a state, or of shapes like it, by `partition`.

    Arrays of the optimiser and the EMA have their parameter's shape, and so its sharding.
    """
    return jax.tree.map(lambda x: NamedSharding(mesh, partition(x, mesh)), state)


def abstract_on(mesh: Mesh, shapes):
    """Add shardings to the shapes of a state (from jax.eval_shape), as Orbax and jit take them."""
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        shapes,
        state_sharding(shapes, mesh),
    )


def shardings_of(tree):
    """Return the sharding of every array, or abstract array, of a tree."""
    return jax.tree.map(lambda x: x.sharding, tree)


def gathered(tree):
    """Gather arrays of the mesh as whole NumPy arrays in every process."""

    def one(x):
        return jax.jit(lambda x: x, out_shardings=replicated(x.sharding.mesh))(x)

    return jax.device_get(jax.tree.map(lambda x: x if x.is_fully_replicated else one(x), tree))


def global_batch(batch, mesh: Mesh):
    """Make arrays over the whole mesh from this process's rows of a batch (NumPy); nothing is gathered."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch)
