"""Names and layouts of published checkpoints, a file for each network."""
