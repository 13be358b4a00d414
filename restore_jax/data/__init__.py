"""Where training images come from. NumPy only; a batch is a pure function of (seed, step)."""
