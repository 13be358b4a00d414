"""Measurements of speed and memory on this machine, as `restore-jax bench` prints them."""
