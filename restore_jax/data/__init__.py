"""The sources of training images, and batches of them. NumPy only; a batch is a pure function of (seed, step)."""
