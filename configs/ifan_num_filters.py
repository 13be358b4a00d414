"""IFAN with other numbers N of separable filters (dissertation, Table 4.6).

    python -m restore_jax.train --config=configs/ifan_num_filters.py:44 --workdir=runs/ifan_n44

Days on one GPU. N is 8, 17, 26, 35 or 44; the dissertation: 25.19, 25.37, 25.39, 25.42 and 25.45 dB. `:44,tiny` runs in
under a minute, without data.
"""

from configs import ifan

N = ("8", "17", "26", "35", "44")


def get_config(variant: str = ""):
    """Return the config of N filters (default 17); further words are rendered and tiny."""
    number, words = ifan.chosen(variant, N, "17")
    config = ifan.published()
    config.model.options.num_filters = int(number)
    return ifan.with_words(config, words, ("rendered", "tiny"))
