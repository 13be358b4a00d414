"""Runs `restore-jax` as `python -m restore_jax.cli`."""

import sys

from restore_jax import cli

sys.exit(cli.main())
