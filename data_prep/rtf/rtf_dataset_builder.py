"""The TFDS builder of RTF."""

import tensorflow_datasets as tfds

from data_prep import building
from data_prep.rtf.layout import LAYOUTS


class Builder(building.Builder):
    """22 defocused photographs with maps of sigma, for evaluation."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = building.configs(LAYOUTS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "image/ and map/ as python -m data_prep.rtf.prepare writes them: see README.md."
