"""Runs `restore-jax train` as `python -m restore_jax.train`."""

import sys

from restore_jax import cli

sys.exit(cli.main(["train", *sys.argv[1:]]))
