"""macs.py: hand-computed small cases, brute force for convolutions, and the costs the dissertation prints."""

import functools
import itertools

import jax
import jax.numpy as jnp
import pytest

from restore_jax import models
from restore_jax.bench.macs import macs, restoring_macs


def shape(*sides):
    return jax.ShapeDtypeStruct(sides, jnp.float32)


def convolve(x, kernel, strides=(1, 1), padding="SAME", **options):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout, **options)


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (lambda x, w: x @ w, [(5, 7), (7, 3)], 5 * 7 * 3),
        (lambda x, w: jnp.einsum("bij,bjk->bki", x, w), [(2, 5, 7), (2, 7, 3)], 2 * 5 * 7 * 3),
        (lambda x, w: jnp.einsum("ijk,jkl->il", x, w), [(2, 3, 4), (3, 4, 5)], 2 * 3 * 4 * 5),
        (convolve, [(2, 8, 10, 3), (3, 3, 3, 5)], 2 * 8 * 10 * 9 * 3 * 5),
        (lambda x, w: convolve(x, w, (2, 2)), [(1, 8, 10, 3), (3, 3, 3, 5)], 4 * 5 * 9 * 3 * 5),
        (lambda x, w: convolve(x, w, padding="VALID"), [(1, 8, 10, 3), (3, 5, 3, 5)], 6 * 6 * 15 * 3 * 5),
        (lambda x, w: convolve(x, w, feature_group_count=4), [(1, 8, 8, 12), (3, 3, 3, 8)], 64 * 9 * 3 * 8),
        (lambda x, w: convolve(x, w, feature_group_count=12), [(1, 8, 8, 12), (3, 3, 1, 12)], 64 * 9 * 12),
        (lambda x, w: convolve(x, w, batch_group_count=2), [(6, 8, 8, 4), (3, 3, 4, 10)], 3 * 64 * 9 * 4 * 10),
        (lambda x, w: convolve(x, w, rhs_dilation=(2, 2)), [(1, 8, 8, 4), (3, 3, 4, 6)], 64 * 9 * 4 * 6),
        (lambda x: x * x + jnp.exp(x), [(9, 9)], 0),
    ],
)
def test_one_operation_counts_as_by_hand(function, shapes, expected):
    assert macs(function, *(shape(*sides) for sides in shapes)) == expected


@pytest.mark.parametrize("spread", [(2, 2), (1, 3)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
@pytest.mark.parametrize("holes", [(1, 1), (1, 2)])
@pytest.mark.parametrize("padding", [((1, 1), (2, 0)), ((2, 2), (2, 2))])
def test_zeros_between_the_inputs_do_not_count(spread, strides, holes, padding):
    """Against the definition: every tap of every position, which lies on an input if no zero was put there."""
    height, width, taps = 5, 6, (3, 4)
    options = {"padding": padding, "lhs_dilation": spread, "rhs_dilation": holes}
    shapes = shape(1, height, width, 1), shape(*taps, 1, 1)
    _, rows, columns, _ = jax.eval_shape(lambda x, w: convolve(x, w, strides, **options), *shapes).shape
    expected = 0
    for y, x, dy, dx in itertools.product(range(rows), range(columns), range(taps[0]), range(taps[1])):
        place = y * strides[0] + dy * holes[0] - padding[0][0], x * strides[1] + dx * holes[1] - padding[1][0]
        expected += place[0] % spread[0] == 0 and place[1] % spread[1] == 0
    assert macs(lambda x, w: convolve(x, w, strides, **options), *shapes) == expected


W = shape(4, 4)
PRODUCT = 4 * 4 * 4


def scanned(x, w):
    def step(carry, _):
        return carry @ w, (carry @ carry).sum()

    return jax.lax.scan(step, x, length=7)


@jax.custom_vjp
def by_hand(x, w):
    return x @ w


by_hand.defvjp(lambda x, w: (x @ w, (x, w)), lambda saved, y: (y @ saved[1].T, saved[0].T @ y))


@jax.custom_jvp
def by_hand_forward(x, w):
    return x @ w


by_hand_forward.defjvps(lambda x_dot, y, x, w: x_dot @ w, None)


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (jax.jit(jnp.matmul), 1),
        (jax.checkpoint(jnp.matmul), 1),
        (by_hand, 1),
        (by_hand_forward, 1),
        (scanned, 14),
        (lambda x, w: scanned(x, w)[0], 7),
        (lambda x, w: scanned(x, w)[1], 14),
        (lambda x, w: jax.vmap(lambda row: row @ w)(x), 1),
        (lambda x, w: jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x @ w), 2),
        (lambda x, w: jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + 1), (0, x))[1] @ w, 1),
        (jax.grad(lambda x, w: (x @ w).sum(), argnums=(0, 1)), 2),
        (jax.grad(lambda x, w: by_hand(x, w).sum()), 1),
        (jax.grad(lambda x, w: jnp.exp(x @ w).sum(), argnums=(0, 1)), 3),
    ],
)
def test_nested_programs_and_gradients(function, products):
    assert macs(function, W, W) == products * PRODUCT


def test_what_nobody_uses_does_not_count():
    @jax.jit
    def two(x, w):
        return x @ w, (x @ w) @ w

    def first(x, w):
        unused = x @ x
        return {"image": two(x, w)[0], "also": unused}["image"]

    assert macs(first, W, W) == PRODUCT
    assert macs(lambda x, w: jax.jit(lambda a, b: (b, a))(x @ w, w)[0], W, W) == 0


def test_a_loop_of_unknown_length_is_refused():
    with pytest.raises(NotImplementedError, match="while"):
        macs(lambda x, w: jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: x @ w, x), W, W)


@pytest.mark.parametrize(
    ("options", "billions"),
    [
        ({"num_filters": 8}, 347.9),
        ({"num_filters": 17}, 362.9),
        ({"num_filters": 26}, 377.9),
        ({"num_filters": 35}, 392.8),
        ({"num_filters": 44}, 407.8),
        ({"filtering": "fac"}, 363.4),
    ],
)
def test_ifan_costs_what_the_dissertation_prints(options, billions):
    """Tables 4.6 and 4.7, 1280x720, published width; the tables also count elementwise operations, 0.3 %."""
    assert restoring_macs(models.create("ifan", **options), 720, 1280) / 1e9 == pytest.approx(billions, rel=0.005)


def test_the_filter_map_is_counted_once():
    """One more filter pair costs its 1x1 convolution, from 4 width channels to 7 planes of 4 width, and no more."""
    costs = [restoring_macs(models.create("ifan", width=4, num_filters=n), 64, 64) for n in (3, 4)]
    assert costs[1] - costs[0] == 8 * 8 * 16 * 7 * 16


def test_dual_pixel_views_cost_three_more_input_channels():
    single, dual = (
        restoring_macs(models.create("ifan", width=4, num_filters=2, input=i), 64, 64) for i in ("single", "dual")
    )
    assert dual - single == 64 * 64 * 9 * 3 * 4


def refvsr_macs(model, height, width):
    """Multiply-accumulates of a RefVSR's parts for one frame of height x width pixels, with references of that size.

    prepare: matching and aligning a frame's references; flow: what aligns a neighbour; propagate: a step of a cell;
    reconstruct: the upsampling. A window of 7 frames takes 7, 6, 8 and 1 of them: both directions meet at its centre.
    Where the height is no multiple of what the network takes, as 1080 for two references of real HD, it is rounded up.
    """
    height, width = (-(-side // max(model.multiples)) * max(model.multiples) for side in (height, width))
    frame = shape(1, height, width, 3)
    reference = (frame, frame) if model.references == "dual" else frame
    variables = models.variable_shapes(model)

    def part(name):
        return functools.partial(model.apply, method=name)

    prepared = jax.eval_shape(part("prepare"), variables, frame, reference)
    flow = jax.eval_shape(part("flow"), variables, frame, frame)
    state = jax.eval_shape(lambda: model.initial_state(1, height, width))
    backward = state if model.bidirectional else None
    return {
        "prepare": macs(part("prepare"), variables, frame, reference),
        "flow": macs(part("flow"), variables, frame, frame),
        "propagate": macs(part("propagate"), variables, state, prepared, flow),
        "reconstruct": macs(part("reconstruct"), variables, prepared, state, backward),
    }


def window(parts, steps=8, alignments=6, flow=False):
    """Trillions of a window of 7 frames. As from the printed parameters, the flow network is left out."""
    total = 7 * parts["prepare"] + steps * parts["propagate"] + parts["reconstruct"]
    return (total + (alignments * parts["flow"] if flow else 0)) / 1e12


@pytest.mark.parametrize("options", [{}, {"references": "dual"}, {"frame_alignment": "match", "bidirectional": False}])
def test_the_parts_of_refvsr_are_its_window(options):
    model = models.create("refvsr", mid_channels=4, num_blocks=1, **options)
    variables = models.variable_shapes(model)
    frames = shape(1, 7, 16, 16, 3)
    inputs = frames, (frames, frames) if "references" in options else frames
    whole = macs(lambda *inputs: model.apply(*inputs)["image"], variables, *inputs)
    parts = refvsr_macs(model, 16, 16)
    one_way = "bidirectional" in options
    # One way the frames after the centre have no part in the image, but one scan prepares and aligns all.
    steps = 4 if one_way else 8
    expected = 7 * parts["prepare"] + steps * parts["propagate"] + 6 * parts["flow"] + parts["reconstruct"]
    assert whole == expected


def test_refvsr_costs_what_the_dissertation_prints():
    """Tables 5.1 and 5.4 for our network: within 3% with a step for each of the 7 frames, one less than it takes.

    58.1 T are of real HD input (its matching at a quarter of the size), 2.737 T of downsampled input.
    """
    hd = refvsr_macs(models.create("refvsr", mode="hd"), 1080, 1920)
    small = refvsr_macs(models.create("refvsr"), 256, 256)
    assert window(hd, steps=7) == pytest.approx(58.1, rel=0.003)
    assert window(small, steps=7) == pytest.approx(2.737, rel=0.03)
    assert window(hd) == pytest.approx(64.26, abs=0.01)
    assert window(small) == pytest.approx(3.001, abs=0.001)


def test_two_references_cost_a_sixth_more():
    """Table 5.1 prints 71.5 T; of the telephoto's four times finer frames we match a quarter as many places."""
    dual = refvsr_macs(models.create("refvsr", mode="hd", references="dual"), 1080, 1920)
    assert window(dual, steps=7) == pytest.approx(71.5, rel=0.05)


@pytest.mark.parametrize(
    ("options", "printed", "alignments"),
    [
        ({"frame_alignment": "match", "reference_alignment": "flow"}, 8.303, 10),
        ({"frame_alignment": "match"}, 9.364, 10),
        ({"reference_alignment": "flow"}, 1.975, None),
    ],
)
def test_other_alignments_cost_what_the_dissertation_prints(options, printed, alignments):
    """Table 5.4, within 0.4%; its numbers fit ten alignments of frames, where the window needs six."""
    parts = refvsr_macs(models.create("refvsr", **options), 256, 256)
    assert window(parts, alignments=alignments, flow=alignments is not None) == pytest.approx(printed, rel=0.004)


def test_the_flow_network_is_left_out_of_a_window():
    model = models.create("refvsr", mid_channels=4, num_blocks=1)
    parts = refvsr_macs(model, 16, 16)
    assert restoring_macs(model, 16, 15) == 7 * parts["prepare"] + 8 * parts["propagate"] + parts["reconstruct"]


def test_a_long_clip_costs_both_directions_a_frame():
    model = models.create("basicvsr", num_feat=4, num_blocks=1)
    variables = models.variable_shapes(model)
    frame, flow, state = shape(1, 16, 16, 3), shape(1, 16, 16, 2), shape(1, 16, 16, 4)

    def part(name, *inputs, **options):
        return macs(lambda *inputs: model.apply(*inputs, **options, method=name), variables, *inputs)

    steps = sum(part("propagate", state, frame, flow, direction=direction) for direction in ("forward", "backward"))
    assert restoring_macs(model, 16, 16) == steps + part("reconstruct", state, state, frame)


def test_a_reference_is_as_fine_as_the_output_and_sees_half():
    model = models.create("ttsr", num_feat=4, num_blocks=(1, 1, 1, 1), vgg_divisor=16)
    inputs = shape(1, 16, 32, 3), shape(1, 32, 64, 3)
    variables = models.variable_shapes(model)
    expected = macs(lambda *inputs: model.apply(*inputs)["image"], variables, *inputs)
    assert restoring_macs(model, 16, 32) == expected
