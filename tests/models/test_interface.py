"""Networks take and give what their interfaces say; shapes alone, nothing is computed."""

import jax
import pytest

from restore_jax import models
from restore_jax.models.interface import Input, Interface, result

REFVSR = {"mid_channels": 4, "num_blocks": 1}
SMALL = [
    *(("ifan", {"width": 4, "num_filters": 2}), ("ifan", {"width": 4, "num_filters": 2, "input": "dual"})),
    *(("dpdnet", {"width": 4}), ("dpdnet", {"width": 4, "input": "dual"}), ("dmenet", {"width_divisor": 16})),
    *(("refvsr", {**REFVSR, "scale": 2}), ("refvsr", {**REFVSR, "mode": "hd", "references": "dual"})),
    ("refvsr", {**REFVSR, "refill": True}),
    ("edvr", {"num_feat": 8, "num_frames": 3, "num_extract_blocks": 1, "num_reconstruct_blocks": 1}),
    *(("basicvsr", {"num_feat": 4, "num_blocks": 1}), ("iconvsr", {"num_feat": 8, "num_blocks": 1})),
    ("basicvsr", {"num_feat": 4, "num_blocks": 1, "memory": {"keys": 4, "basis": 6, "size": 8}}),
    *(("srcnn", {"scale": 2}), ("srresnet", {"num_feat": 4, "num_blocks": 1, "scale": 2}), ("spynet", {})),
    ("rcan", {"num_feat": 4, "num_groups": 1, "num_blocks": 1, "reduction": 2}),
    ("ttsr", {"num_feat": 4, "num_blocks": (1, 1, 1, 1), "vgg_divisor": 16}),
    ("dcsr", {"num_feat": 4, "num_blocks": (1, 1, 1), "scale": 4, "mode": "hd"}),
]  # fmt: skip


def names(case):
    return "-".join(str(value) for value in (case[0], *case[1].values())) if isinstance(case, tuple) else None


def output_shape(model, variables, height, width):
    return jax.eval_shape(lambda *args: result(model, *args), variables, model.interface.shapes(height, width, 3)).shape


@pytest.mark.parametrize("case", SMALL, ids=names)
def test_inputs_and_output_are_as_they_are_said_to_be(case):
    """On the smallest sides above 16 that the network says it takes; on others it refuses, or rounds up by itself."""
    name, options = case
    model = models.create(name, **options)
    interface = model.interface
    height, width = (-(-least // interface.multiple) * interface.multiple for least in (17, 33))
    expected = [1, interface.scale * height, interface.scale * width]
    if interface.kind == "clip":
        expected.insert(1, 3)
    channels = {"image": 3, "flow": 2, "defocus": 1}[interface.output]
    variables = models.variable_shapes(model)
    assert output_shape(model, variables, height, width) == (*expected, channels)
    if interface.multiple > 1:
        with pytest.raises(ValueError, match="multiple"):
            output_shape(model, variables, height + 1, width)


def test_every_network_is_among_these():
    assert {name for name, _ in SMALL} == set(models.NAMES) - {"vgg19"}  # which has no one output


def test_what_verbs_take():
    assert models.serving("deblur") == ("ifan", "dpdnet")
    assert models.serving("defocus") == ("dmenet",)
    assert len(models.serving("vsr")) == 9
    assert not models.serves("lpips", "deblur")


def test_sides_must_fit_all_inputs():
    """A reference of multiples of 6 that is twice as large as the frame asks for a frame of multiples of 3."""
    assert Interface("X", (Input("lr", 2), Input("ref", 6, factor=2))).multiple == 6
    assert Interface("X", (Input("lr"), Input("ref", 6, factor=2))).multiple == 3
