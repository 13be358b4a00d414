"""Which device holds what: a mesh of data x fsdp, batches split over both, parameters over fsdp or copied.

One device, eight GPUs or a pod are the same code: jax.jit sees global arrays and puts the communication in.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp")
MIN_SIZE = 1024  # parameters: smaller arrays are copied, splitting them costs more than it saves


def make_mesh(fsdp: int = 1, devices=None) -> Mesh:
    """Devices (default: all) as (data, fsdp); fsdp: over how many of them each parameter is split.

    Raises ValueError if fsdp does not divide their number.

    Devices stand in the order of their processes, so that a process holds consecutive rows of a batch.
    """
    devices = sorted(devices or jax.devices(), key=lambda d: (d.process_index, d.id))
    if fsdp < 1 or len(devices) % fsdp:
        raise ValueError(f"mesh.fsdp={fsdp} does not divide the {len(devices)} devices")
    return Mesh(np.asarray(devices).reshape(-1, fsdp), AXES)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same everywhere."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def partition(x, mesh: Mesh) -> PartitionSpec:
    """How an array of a state is split: its largest side that fsdp divides. Small ones are copied."""
    parts = mesh.shape["fsdp"]
    sides = [side if side % parts == 0 else 0 for side in x.shape]
    if parts == 1 or not any(sides) or np.prod(x.shape) < MIN_SIZE:
        return PartitionSpec()
    where = int(np.argmax(sides))
    return PartitionSpec(*("fsdp" if n == where else None for n in range(len(sides))))


def state_sharding(state, mesh: Mesh):
    """A sharding for each array of a state, or of shapes like it, by `partition`.

    Optimiser and EMA arrays have their parameter's shape, hence its sharding.
    """
    return jax.tree.map(lambda x: NamedSharding(mesh, partition(x, mesh)), state)


def abstract_on(mesh: Mesh, shapes):
    """`shapes` (of jax.eval_shape on a state) with their shardings, as Orbax and jit take them."""
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        shapes,
        state_sharding(shapes, mesh),
    )


def shardings_of(tree):
    """The sharding of every array, or abstract array, of a tree."""
    return jax.tree.map(lambda x: x.sharding, tree)


def gathered(tree):
    """Arrays over the mesh as NumPy, whole, in every process."""

    def one(x):
        return jax.jit(lambda x: x, out_shardings=replicated(x.sharding.mesh))(x)

    return jax.device_get(jax.tree.map(lambda x: x if x.is_fully_replicated else one(x), tree))


def global_batch(batch, mesh: Mesh):
    """This process's rows of a batch (NumPy) as arrays over the whole mesh; nothing is gathered."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch)
