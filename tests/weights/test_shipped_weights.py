"""Weights that ship work: each network gains on a small held-out example, and its mechanism does its part.

A card says under "mechanisms" how many decibels the example loses where a mechanism is switched off, 0 where it does
nothing: new weights change that number, and this test says what it is.
"""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import fftconvolve
from skimage import data

import restore_jax as rj
from restore_jax import weights
from restore_jax.ops.warp import warp
from restore_jax.video import engines, stream
from restore_jax.weights import Restorer
from tests.moving_scene import filmed
from tests.reference_render import disc_psf

COUNT = 3  # frames of the clip
LEAST = {  # what each must gain at least, in the unit of its test; weights of noise lose decibels
    "ifan-small": 1.3,
    "dmenet-small": 0.8,
    "basicvsr-small": 0.2,
    "basicvsr-memory-small": 0.2,
    "refvsr-small": 0.35,
    "spynet-rendered": 6.0,
}


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")  # the tests leave nothing in the home folder


def psnr(a, b):
    return -10 * np.log10(np.mean((np.asarray(a, np.float64) - b) ** 2))


def blurred(image, coc):
    """An image (h, w, 3) through a disc `coc` pixels across, by the reference renderer's disc."""
    psf = disc_psf(coc)
    wide = np.pad(image, ((16, 16), (16, 16), (0, 0)), "reflect")
    return np.stack([fftconvolve(wide[..., c], psf, "same")[16:-16, 16:-16] for c in range(3)], -1)


def photograph():
    """A part of a photograph that nothing here is trained on, (128, 160, 3) float32."""
    return data.coffee()[100:228, 200:360].astype(np.float32) / 255


@functools.cache
def clip():
    """(truth, frames, references): frames (96, 128, 3), a quarter of their size, and a lens of twice the length."""
    truth = filmed(COUNT, size=(128, 96)).astype(np.float32) / 255
    frames = truth.reshape(COUNT, 24, 4, 32, 4, 3).mean((2, 4))
    references = filmed(COUNT, fov=2, size=(32, 24)).astype(np.float32) / 255
    return truth, frames, references


# ---------------------------------------------------------------------------------------------------- one for each file
@functools.cache
def engine_of(name, referenced):
    """The engine of shipped weights, compiled once for all tests."""
    return engines.engine(rj.load(name), referenced)


def enlarged(restorer, references=None):
    """PSNR of the clip's frames as restored."""
    truth, frames, _ = clip()
    engine = copy.copy(engine_of(restorer.name, references is not None))
    engine.params = jax.device_put(restorer.params)
    return psnr(np.stack(list(stream.super_resolve(frames, references, weights=engine))), truth)


def of_bicubic():
    truth, frames, _ = clip()
    return psnr(np.stack(list(stream.super_resolve(frames, weights="bicubic"))), truth)


def deblurred(restorer):
    sharp = photograph()
    seen = np.round(255 * blurred(sharp, 6.0)) / 255
    return psnr(rj.deblur(seen.astype(np.float32), weights=restorer), sharp), psnr(seen, sharp)


def gain_of_ifan(restorer):
    """Decibels that a photograph out of focus by six pixels gains."""
    after, before = deblurred(restorer)
    return after - before


def gain_of_dmenet(restorer):
    """Pixels of sigma by which the right half, blurred by eight pixels, is told from the left one, which is sharp."""
    sharp = photograph()
    seen = np.where(np.arange(160)[None, :, None] < 80, sharp, blurred(sharp, 8.0)).astype(np.float32)
    sigma = rj.estimate_defocus(seen, weights=restorer)
    return float(np.median(sigma[:, 96:]) - np.median(sigma[:, :64]))


def gain_of_basicvsr(restorer):
    """Decibels over bicubic interpolation."""
    return enlarged(restorer) - of_bicubic()


def gain_of_refvsr(restorer):
    """Decibels over bicubic interpolation, with a reference."""
    return enlarged(restorer, clip()[2]) - of_bicubic()


def gain_of_spynet(restorer):
    """Decibels by which a frame that is warped by the flow is nearer to the frame before than the frame itself is."""
    first, second = (frame[None] for frame in clip()[0][:2])
    flow = jax.jit(restorer.model.apply)(restorer.params, first, second)
    inside = np.s_[0, 8:-8, 8:-8]
    warped = np.asarray(warp(jnp.asarray(second), flow, "border"))
    return psnr(warped[inside], first[inside]) - psnr(second[inside], first[inside])


GAINS = {
    **{"ifan": gain_of_ifan, "dmenet": gain_of_dmenet, "basicvsr": gain_of_basicvsr},
    **{"refvsr": gain_of_refvsr, "spynet": gain_of_spynet},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", weights.shipped_names())
def test_it_gains(name):
    assert name in LEAST, "new weights need a gain here"
    gain = GAINS[weights.card(name)["model"]](rj.load(name))
    assert gain > LEAST[name], f"{name} gains {gain:.2f}"


# ---------------------------------------------------------------------------------------------------------- mechanisms
def with_params(restorer, **modules):
    return Restorer(restorer.name, restorer.model, {"params": {**restorer.params["params"], **modules}}, restorer.card)


def filters_at_their_mean(restorer):
    """Decibels lost where every pixel is given the mean of all pixels' filters."""
    seen = np.round(255 * blurred(photograph(), 6.0)) / 255
    filters = jax.jit(restorer.model.apply)(restorer.params, seen.astype(np.float32)[None])["filters"]
    predictor = restorer.params["params"]["filter_predictor"]
    last = {"kernel": np.zeros_like(predictor["conv_out"]["kernel"]), "bias": np.asarray(filters).mean((0, 1, 2))}
    constant = with_params(restorer, filter_predictor={**predictor, "conv_out": last})
    return deblurred(restorer)[0] - deblurred(constant)[0]


def bank_of_one_value(restorer):
    """Decibels lost where all that the memory holds is its mean."""
    bank = restorer.params["params"]["bank"]
    basis = np.broadcast_to(bank["basis"].mean(0), bank["basis"].shape)
    return enlarged(restorer) - enlarged(with_params(restorer, bank={**bank, "basis": basis}))


def grey_reference(restorer):
    """Decibels lost where the reference is grey."""
    references = clip()[2]
    return enlarged(restorer, references) - enlarged(restorer, np.full_like(references, 0.5))


MECHANISMS = {
    **{"filters at their mean": filters_at_their_mean, "a bank of one value": bank_of_one_value},
    "a grey reference": grey_reference,
}
EXPECTED = {"ifan": "filters at their mean", "memory": "a bank of one value", "refvsr": "a grey reference"}


def mechanism_of(card):
    """The mechanism that a network's card must give a number for, None if it has none."""
    return EXPECTED.get("memory" if "memory" in card["options"] else card["model"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in weights.shipped_names() if mechanism_of(weights.card(n))])
def test_its_mechanism_costs_what_the_card_says(name):
    card = weights.card(name)
    mechanism = mechanism_of(card)
    lost = MECHANISMS[mechanism](rj.load(name))
    said = card.get("mechanisms", {}).get(mechanism)
    assert said == pytest.approx(lost, abs=0.05), f'{name}.json: "mechanisms": {{"{mechanism}": {lost:.2f}}}'
