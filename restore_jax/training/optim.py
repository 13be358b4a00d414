"""Optimisers and learning-rate schedules from a config, by optax."""

import optax


def make_schedule(config) -> optax.Schedule:
    """config.schedule: "constant", "step" (halved at config.boundaries) or "cosine" to config.final_rate; with warm-up."""
    rate, warm = config.rate, config.warmup_steps
    if config.schedule == "constant":
        schedule = optax.constant_schedule(rate)
    elif config.schedule == "step":
        schedule = optax.piecewise_constant_schedule(rate, {int(step) - warm: 0.5 for step in config.boundaries})
    elif config.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(rate, config.total_steps - warm, config.final_rate / rate)
    else:
        raise ValueError(f"optim.schedule is {config.schedule!r}, must be constant, step or cosine")
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warm), schedule], [warm]) if warm else schedule


def make_optimizer(config) -> optax.GradientTransformation:
    """Clipping by global norm, then RAdam, Adam or AdamW with decoupled weight decay, as config says."""
    scale = {"radam": optax.scale_by_radam, "adam": optax.scale_by_adam, "adamw": optax.scale_by_adam}
    if config.name not in scale:
        raise ValueError(f"optim.name is {config.name!r}, must be one of {', '.join(scale)}")
    return optax.chain(
        optax.clip_by_global_norm(config.clip) if config.clip else optax.identity(),
        scale[config.name](b1=config.b1, b2=config.b2),
        optax.add_decayed_weights(config.weight_decay) if config.weight_decay else optax.identity(),
        optax.scale_by_learning_rate(make_schedule(config)),
    )
