"""Weights: what ships, files on disk, conversion of published checkpoints.

restorer = load("ifan")                 # .model .params .card .name
params = convert("ifan", arrays)        # {published name: array} -> {"params": ...}
"""

from restore_jax.weights.checkpoints import read_published
from restore_jax.weights.conversion import convert, convert_files
from restore_jax.weights.fetching import fetch
from restore_jax.weights.files import read_safetensors, save
from restore_jax.weights.hub import pull
from restore_jax.weights.registry import (
    Restorer,
    card,
    list_fetched,
    list_shipped,
    load,
    load_into,
    push,
    shipped_names,
    verify,
)

__all__ = [
    "Restorer",
    "card",
    "convert",
    "convert_files",
    "fetch",
    "list_fetched",
    "list_shipped",
    "load",
    "load_into",
    "pull",
    "push",
    "read_published",
    "read_safetensors",
    "save",
    "shipped_names",
    "verify",
]
