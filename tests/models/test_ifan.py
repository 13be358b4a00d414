"""models/ifan: every golden of the published network, counts of parameters, ablations, precision."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import losses, models, weights
from restore_jax.errors import InputError
from restore_jax.models.ifan import with_identity_filters
from restore_jax.ops.resize import block_mean
from restore_jax.ops.warp import warp_horizontal
from restore_jax.tasks.deblur import disparity_loss
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.ifan import our_name, to_our_layout
from restore_jax.weights.tree import flatten
from tests.places import GOLDEN

MANIFEST = json.loads((GOLDEN / "ifan_manifest.json").read_text())


def random_params(**options):
    """Parameters drawn by NumPy: compiling the initialisation of a hundred parameters takes far longer than a test."""
    rng = np.random.default_rng(0)
    shapes = parameter_shapes("ifan", options)
    return jax.tree.map(
        lambda x: jnp.asarray(rng.normal(0, 0.5 / np.sqrt(x.size) ** 0.5, x.shape), jnp.float32), shapes
    )


def count(**options):
    return sum(leaf.size for leaf in jax.tree.leaves(parameter_shapes("ifan", options)))


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("kind", ["ifan", "ifan_dual"])
def test_outputs_losses_and_gradients_are_the_published_networks(golden, kind, variant):
    expected = golden(f"{kind}_golden")
    dual = kind == "ifan_dual"
    options = {
        "width": 4, "num_filters": 8, "variant": variant, "reblur": True, "input": "dual" if dual else "single",
    }  # fmt: skip
    model = models.create("ifan", **options)
    params = weights.convert("ifan", golden(f"{kind}_weights"), **options)
    image = {name: jnp.asarray(expected[name].transpose(0, 2, 3, 1)) for name in ("C", "R", "L", "GT")}

    def total(params):
        views = {"right": image["R"], **({"left": image["L"]} if dual else {})}
        out = model.apply(params, image["C"], sharp=image["GT"], **views)
        disparity = out["disparity" if dual else "disparity_right"]
        terms = jnp.stack(
            [
                losses.mse(out["image"], image["GT"]),
                disparity_loss(disparity, image["R"], image["L"]),
                losses.mse(out["reblurred"], block_mean(image["C"], 8)),
            ]
        )
        warped = warp_horizontal(block_mean(image["R"], 8), disparity)
        return terms.sum(), (terms, {"result": out["image"], "f_R_w": warped, "SB": out["reblurred"]})

    (_, (terms, outputs)), gradients = jax.jit(jax.value_and_grad(total, has_aux=True))(params)
    for name, value in outputs.items():
        np.testing.assert_allclose(value.transpose(0, 3, 1, 2), expected[f"{variant}/{name}"], atol=1e-4, err_msg=name)
    clipped = jnp.clip(outputs["result"], 0, 1).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(clipped, np.clip(expected[f"{variant}/eval_result"], 0, 1), atol=1e-4)
    np.testing.assert_allclose(terms, expected[f"{variant}/losses_deblur_disp_reblur"], rtol=1e-4)

    gradients = flatten(gradients["params"])
    norms = {name: value for name, value in expected.items() if name.startswith(f"{variant}/gradnorm/")}
    assert len(norms) == len(gradients)
    for name, norm in norms.items():
        ours = np.linalg.norm(np.ravel(gradients[our_name(name.split("gradnorm/")[1])]))
        assert ours == pytest.approx(float(norm), rel=1e-3), name


@pytest.mark.parametrize(
    ("num_filters", "parameters"),
    [(8, 9_436_740), (17, 10_476_996), (26, 11_517_252), (35, 12_557_508), (44, 13_597_764)],
)
def test_parameters_for_every_number_of_filters(num_filters, parameters):
    assert count(num_filters=num_filters) == parameters


def test_parameters_of_the_other_networks():
    assert count(input="dual") == 10_477_860
    assert count(reblur=True) - count() == 19_139_685
    assert count(filtering="fac") == pytest.approx(10.51e6, rel=5e-4)  # Table 4.7
    # Table 4.1 prints 10.58 M for its rows of plain convolutions and 10.48 M for those with filters.
    assert count(filtering="none") == pytest.approx(10.58e6, rel=0.015)
    assert count(filtering="none", disparity=False) == pytest.approx(10.58e6, rel=0.015)
    assert count(disparity=False) == pytest.approx(10.48e6, rel=0.015)


def test_every_published_parameter_finds_its_place():
    shapes = flatten(parameter_shapes("ifan", {"reblur": True})["params"])
    assert sorted(map(our_name, MANIFEST)) == sorted(shapes)
    for name, shape in MANIFEST.items():
        array = np.broadcast_to(np.float32(0), shape)
        assert to_our_layout(name, array).shape == shapes[our_name(name)].shape, name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"disparity": False},
        {"filtering": "fac"},
        {"filtering": "fac", "reblur": True},
        {"filtering": "none"},
        {"filtering": "none", "disparity": False},
        {"filter_size": 5, "num_filters": 2, "reblur": True},
        {"variant": "released", "input": "dual", "reblur": True},
    ],
)
def test_each_ablation_runs_and_all_its_parameters_matter(options):
    options = {"width": 2, "num_filters": 3, **options}
    model = models.create("ifan", **options)
    image, right, left, sharp = jax.random.uniform(jax.random.key(0), (4, 1, 16, 24, 3))
    views = {"right": right, "left": left} if options.get("input") == "dual" else {}
    params = random_params(**options)

    def total(params):
        out = model.apply(params, image, sharp=sharp if options.get("reblur") else None, **views)
        assert out["image"].shape == image.shape
        return jnp.mean(out["image"]) + jnp.mean(out.get("reblurred", jnp.zeros(())))

    gradients = flatten(jax.jit(jax.grad(total))(params))
    biases = {name: g for name, g in gradients.items() if name.endswith("bias")}
    dead = [name for name, g in biases.items() if not np.any(g)]
    assert not dead


def test_bfloat16_computes_in_it_and_stays_close():
    image = jax.random.uniform(jax.random.key(0), (1, 32, 32, 3))
    params = random_params(width=4, num_filters=3)
    full, low = (
        jax.jit(models.create("ifan", width=4, num_filters=3, dtype=dtype).apply)(params, image)
        for dtype in (jnp.float32, jnp.bfloat16)
    )
    assert low["filters"].dtype == jnp.bfloat16
    assert low["image"].dtype == jnp.float32
    np.testing.assert_allclose(low["image"], full["image"], atol=0.05)


def test_the_filter_map_never_exists_at_inference():
    model = models.create("ifan", width=8, num_filters=17)
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    params = parameter_shapes("ifan", {"width": 8, "num_filters": 17})
    compiled = jax.jit(lambda p, x: model.apply(p, x)["image"]).lower(params, image).compile()
    filter_map = 17 * 7 * 32 * 32 * 32 * 4  # bytes
    assert compiled.memory_analysis().temp_size_in_bytes < filter_map + 256 * 256 * 8 * 4 * 6
    whole = jax.jit(lambda p, x: model.apply(p, x)["filters"]).lower(params, image).compile()
    assert whole.memory_analysis().output_size_in_bytes == filter_map


def test_bad_options_and_sizes_are_refused():
    with pytest.raises(ValueError, match="no network 'ifam'"):
        models.create("ifam")
    with pytest.raises(ValueError, match="no option 'filters'"):
        models.create("ifan", filters=3)
    image = jnp.zeros((1, 16, 16, 3))
    for options, message in [
        ({"variant": "publish"}, "variant='publish'"),
        ({"filtering": "none", "reblur": True}, "needs filters"),
        ({"input": "dual"}, "needs both views"),
    ]:
        with pytest.raises(ValueError, match=message):
            models.create("ifan", width=2, num_filters=1, **options).init(jax.random.key(0), image)
    with pytest.raises(ValueError, match="17x16 is not a multiple of 8"):
        models.create("ifan", width=2).init(jax.random.key(0), jnp.zeros((1, 17, 16, 3)))


def test_a_checkpoint_that_does_not_fit_is_refused_by_name(golden):
    arrays = golden("ifan_weights")
    options = {"width": 4, "num_filters": 8}
    with pytest.raises(InputError, match=r"'Network.surprise.weight' that this network does not know"):
        weights.convert("ifan", {**arrays, "Network.surprise.weight": np.zeros(3)}, **options)
    with pytest.raises(InputError, match=r"lacks the parameter for 'reconstructor/conv_out/bias'"):
        weights.convert("ifan", {k: v for k, v in arrays.items() if k != "Network.out_res.0.bias"}, **options)
    with pytest.raises(InputError, match=r"'Network.conv1_1.0.weight' has shape \(4, 3, 3, 3\)"):
        weights.convert("ifan", arrays, width=8, num_filters=8)
    assert "reblur_predictor" not in weights.convert("ifan", arrays, **options)["params"]


def test_identity_filters_are_of_iterated_filters_alone():
    """A network of other filtering starts as it was drawn."""
    params = {"params": {"filter_predictor": {"conv_out": {"bias": 1.0}}}}
    for filtering in ("none", "fac"):
        assert with_identity_filters(params, models.create("ifan", filtering=filtering)) is params
