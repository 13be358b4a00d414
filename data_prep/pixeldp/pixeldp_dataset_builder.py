"""The TFDS builder of PixelDP."""

import tensorflow_datasets as tfds

from data_prep import building
from data_prep.pixeldp.layout import LAYOUTS


class Builder(building.Builder):
    """Defocused dual-pixel photographs of a Pixel 4, without sharp counterparts."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = building.configs(LAYOUTS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "dd_dp_dataset_pixel.zip, unpacked: see README.md."
