"""The parts of a training run that know no model and no task: state, optimiser, step, checkpoints, logs."""
