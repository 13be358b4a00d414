"""The TFDS builder of CUHK blur detection."""

import tensorflow_datasets as tfds

from data_prep import building
from data_prep.cuhk_blur.layout import LAYOUTS


class Builder(building.Builder):
    """704 partially defocused photographs with maps of where they are blurred."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = building.configs(LAYOUTS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "the photographs as image/, the maps as gt/: see README.md."
