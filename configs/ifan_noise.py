"""IFAN trained with images of more or less noise (dissertation, Table 4.8).

    python -m restore_jax.train --config=configs/ifan_noise.py:0.14 --workdir=runs/ifan_noise14

Days on one GPU. The largest sigma is 0.07, 0.14 or 0.21; the dissertation: 25.37, 25.38 and 25.39 dB, LPIPS .217, .221
and .224. `:0.14,tiny` runs in under a minute, without data.
"""

from configs import ifan

SIGMA = ("0.07", "0.14", "0.21")


def get_config(variant: str = ""):
    """Return the config of a largest sigma (default 0.07); further words are rendered and tiny."""
    sigma, words = ifan.chosen(variant, SIGMA, "0.07")
    config = ifan.published()
    config.augment.noise_max = float(sigma)
    return ifan.with_words(config, words, ("rendered", "tiny"))
