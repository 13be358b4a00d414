"""`python -m restore_jax.train` does what `restore-jax train` does, so that errors read alike."""

import sys

from restore_jax import cli

sys.exit(cli.main(["train", *sys.argv[1:]]))
