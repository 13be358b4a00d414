"""The TFDS builder of RealDOF."""

import tensorflow_datasets as tfds

from data_prep import building
from data_prep.realdof.layout import LAYOUTS


class Builder(building.Builder):
    """50 defocused photographs with their sharp counterparts, for evaluation."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = building.configs(LAYOUTS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "RealDOF.zip, unpacked: see README.md."
