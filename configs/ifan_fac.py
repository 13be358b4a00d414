"""IFAN with one dense 11x11 filter a pixel (FAC) in place of the iterated ones (dissertation, Table 4.7).

    python -m restore_jax.train --config=configs/ifan_fac.py --workdir=runs/ifan_fac

Days on one GPU. The dissertation: 25.18 dB against 25.37 with IAC. `:tiny` runs in under a minute, without data.
"""

from configs import ifan


def get_config(variant: str = ""):
    """Return the config; the variant's words are rendered and tiny."""
    config = ifan.published()
    config.model.options.update({"filtering": "fac", "filter_size": 11})
    return ifan.with_words(config, variant, ("rendered", "tiny"))
