"""IFAN without some of its parts (dissertation, Table 4.1): F filter predictor and IAC, D disparity, R reblurring.

    python -m restore_jax.train --config=configs/ifan_ablation.py:fd --workdir=runs/ifan_fd

It takes days on one GPU. The dissertation, in dB: baseline 24.88, d 24.97, f 25.07, fd 25.18, fr 25.28, fdr 25.37. A
part that is left out is replaced by plain convolutions and blocks of equal cost, and its loss is left out too.
`:fd,tiny` runs in under a minute, without data.
"""

from configs import ifan

ROWS = ("baseline", "d", "f", "fd", "fr", "fdr")


def get_config(variant: str = ""):
    """Return the config of a row of the table (default fdr); further words are rendered and tiny."""
    row, words = ifan.chosen(variant, ROWS, "fdr")
    parts = set() if row == "baseline" else set(row)
    config = ifan.published()
    config.model.options.update({"disparity": "d" in parts, "reblur": "r" in parts})
    if "f" not in parts:
        config.model.options.filtering = "none"
    config.loss.update({"disparity": float("d" in parts), "reblur": float("r" in parts)})
    if "d" not in parts:
        config.data.views = config.evaluation.data.views = ("blurred", "sharp")
    return ifan.with_words(config, words, ("rendered", "tiny"))
