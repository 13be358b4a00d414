"""The TFDS builder of DPDD."""

import tensorflow_datasets as tfds

from data_prep import building
from data_prep.dpdd.layout import LAYOUTS


class Builder(building.Builder):
    """Dual-pixel defocus deblurring: 500 scenes, each blurred, its two dual-pixel views, and sharp."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = building.configs(LAYOUTS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "dd_dp_dataset_canon.zip, unpacked: see README.md."
