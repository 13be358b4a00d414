"""The modules of restore_jax.ops whose shapes the tests do not check yet: see tests/conftest.py."""

UNCHECKED = {
    "attention",
    "camera",
    "contextual",
    "convolution",
    "deconv",
    "deform_conv",
    "filtering",
    "jpeg",
    "lens",
    "matching",
    "patches",
    "render",
    "render_layers",
    "resize",
    "scene",
    "sensor",
    "warp",
}
