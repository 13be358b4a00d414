"""`python -m restore_jax.cli` does what `restore-jax` does."""

import sys

from restore_jax import cli

sys.exit(cli.main())
