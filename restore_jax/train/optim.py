"""Optimisers and learning-rate schedules from a config, by optax."""

import math
import re

import jax
import optax
import optax.contrib


def make_schedule(config) -> optax.Schedule:
    """Return a schedule after a linear warm-up: constant, step (times config.decay at each boundary) or cosine."""
    rate, warm = config.rate, config.warmup_steps
    if config.schedule == "constant":
        schedule = optax.constant_schedule(rate)
    elif config.schedule == "step":
        drops = {int(step) - warm: config.decay for step in config.boundaries}
        schedule = optax.piecewise_constant_schedule(rate, drops)
    elif config.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(rate, config.total_steps - warm, config.final_rate / rate)
    else:
        raise ValueError(f"optim.schedule is {config.schedule!r}, must be constant, step or cosine")
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warm), schedule], [warm]) if warm else schedule


def make_optimizer(config) -> optax.GradientTransformation:
    """Return clipping by global norm, then RAdam, Adam, AdamW or Muon with decoupled weight decay, as config says.

    config.decay_biases: whether arrays of one axis decay too. Decay would make identity filters, which are biases,
    leak. config.skip_nonfinite: how many batches in a row may have gradients that are not finite; they change nothing.
    config.groups: (pattern, factor) pairs. The first pattern that is found in a parameter's path (such as
    "filter_encoder/conv1_1/kernel") multiplies its rate by the factor; 0 freezes it.
    Raises ValueError for an unknown name and, at init, for a pattern that fits no parameter.
    """

    def adam():
        return optax.scale_by_adam(b1=config.b1, b2=config.b2)

    rules = {
        "radam": lambda: optax.scale_by_radam(b1=config.b1, b2=config.b2),
        "adam": adam,
        "adamw": adam,
        "muon": _scale_by_muon,
    }
    if config.name not in rules:
        raise ValueError(f"optim.name is {config.name!r}, must be one of {', '.join(rules)}")
    chain = optax.chain(
        _scale_groups(config.groups, frozen_only=True),  # frozen parameters do not count in the norm
        optax.clip_by_global_norm(config.clip) if config.clip else optax.identity(),
        rules[config.name](),
        optax.add_decayed_weights(config.weight_decay, None if config.decay_biases else _kernels)
        if config.weight_decay
        else optax.identity(),
        optax.scale_by_learning_rate(make_schedule(config)),
        _scale_groups(config.groups),
    )
    return optax.apply_if_finite(chain, config.skip_nonfinite) if config.skip_nonfinite else chain


def _scale_groups(groups, frozen_only: bool = False) -> optax.GradientTransformation:
    """Multiply each parameter's update by the factor of its group; frozen_only: by 0 or 1."""

    def init(params):
        paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in _leaves(params)]
        for pattern, _ in groups:
            if not any(re.search(pattern, path) for path in paths):
                raise ValueError(f"optim.groups: {pattern!r} is found in no parameter's path, such as {paths[0]}")
        return optax.EmptyState()

    def factor(path):
        path = jax.tree_util.keystr(path, simple=True, separator="/")
        found = next((float(factor) for pattern, factor in groups if re.search(pattern, path)), 1.0)
        return float(found != 0) if frozen_only else found

    def update(updates, state, params=None):
        return jax.tree_util.tree_map_with_path(lambda path, x: factor(path) * x, updates), state

    return optax.GradientTransformation(init, update) if groups else optax.identity()


def _leaves(tree):
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _kernels(params):
    """Mark the arrays of two or more axes."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


ADAM_SHARE = 0.1  # Adam's rate as a fraction of Muon's, for parameters that Muon does not take
MUON_MAX_FAN = 8  # outputs for each input; heads that fan out further, like a filter predictor's, diverge under Muon


def _scale_by_muon():
    """Return Muon for kernels, as matrices (inputs x outputs), and Adam for the rest; beats Adam in short runs."""

    def is_matrix(p):
        return p.ndim > 1 and p.shape[-1] <= MUON_MAX_FAN * math.prod(p.shape[:-1])

    def matrices(params):
        dimensions = optax.contrib.MuonDimensionNumbers
        return jax.tree.map(
            lambda p: dimensions(tuple(range(p.ndim - 1)), p.ndim - 1) if is_matrix(p) else None, params
        )

    # Rates are 1 here, because make_optimizer scales; optax's minus sign is undone.
    muon = optax.contrib.muon(1.0, muon_weight_dimension_numbers=matrices, adam_learning_rate=ADAM_SHARE)
    return optax.chain(muon, optax.scale(-1.0))
