"""Names and layouts of the published DMENet checkpoint (TensorLayer .npz; "/" or "." between the parts of a name)."""

from restore_jax.weights.converters.renaming import by_rules

# Ours (a path in the parameter tree) <- published, by regular expression. First the convolutions with batch
# normalisation, published as c… and b… beside each other, then those without.
_NORMALISED = (
    (r"main_net/defocus_net/decoder/u([321])/[cb]([123])", "decoder/level{0}/conv{1}"),
    (r"main_net/defocus_net/decoder/u0/[cb]_init", "decoder/level0/conv1"),
    (r"main_net/defocus_net/decoder/u0/[cb]_res(\d)", "refinement/skip{0}/conv1"),
    (r"main_net/defocus_net/decoder/u0/[cb](\d)_([12])", "refinement/block{0}/conv{1}"),
    (r"main_net/defocus_net/decoder/uf/[cb]([12])", "refinement/head{0}/conv1"),
    (r"main_net/defocus_net/decoder/(u\d)_aux/[cb]1", "auxiliary_heads/{0}_hidden"),
    (r"main_net/defocus_net/decoder/(u\d)_aux/[cb]2", "auxiliary_heads/{0}_map"),
    (r"main_net/binary_net/l([123])/[cb]([123])", "calibration/block{0}/conv{1}"),
    (r"discriminator/feature/h([0123])/[cb]1", "discriminator/block{0}"),
)
_PLAIN = (
    (r"main_net/defocus_net/encoder/(conv\d_\d)", "encoder/{0}"),
    (r"main_net/defocus_net/decoder/uf/c3", "refinement/head3"),
    (r"main_net/binary_net/l4/c1", "calibration/logit"),
    (r"discriminator/feature/h4/c1", "discriminator/logit"),
)
_CONVOLUTION = {"W_conv2d": "kernel", "b_conv2d": "bias"}
_SHIFT = {"beta": "bias"}
_STATISTICS = {"moving_mean": "mean", "moving_variance": "var"}

# Published parameters that a network without the part they belong to leaves out.
OPTIONAL = ("auxiliary_heads/", "calibration/", "discriminator/")


def our_name(name: str) -> str | None:
    """Translate a published name, 'main_net/defocus_net/decoder/u3/c1/W_conv2d' -> 'decoder/level3/conv1/conv/kernel'.

    Returns None for an unknown name. Moving statistics get the collection in front:
    'batch_stats/decoder/level3/conv1/norm/mean'.
    """
    layer, _, kind = name.removesuffix(":0").replace(".", "/").rpartition("/")
    if path := by_rules(_PLAIN, layer):
        return f"{path}/{_CONVOLUTION[kind]}" if kind in _CONVOLUTION else None
    path = by_rules(_NORMALISED, layer)
    if path is None:
        return None
    if layer.rpartition("/")[2].startswith("c"):
        return f"{path}/conv/{_CONVOLUTION[kind]}" if kind in _CONVOLUTION else None
    if kind in _STATISTICS:
        return f"batch_stats/{path}/norm/{_STATISTICS[kind]}"
    return f"{path}/norm/{_SHIFT[kind]}" if kind in _SHIFT else None


def to_our_layout(name: str, array):
    """Return the array as it is: TensorFlow's layout is ours."""
    return array
