"""The TFDS builder of RealMCVSR."""

import collections
from pathlib import Path

import tensorflow_datasets as tfds

from data_prep import building, trees
from data_prep.realmcvsr.layout import LAYOUTS


class Builder(building.Builder):
    """Triplets of ultra-wide, wide-angle and telephoto videos, an example a frame.

    Its metadata has the number of frames of each clip, {split: {clip: frames}}, in the order of the examples.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = building.configs(LAYOUTS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "RealMCVSR, unpacked: see README.md."

    def _info(self) -> tfds.core.DatasetInfo:
        found = building.features(self.builder_config.layout)
        metadata = tfds.core.MetadataDict()
        return self.dataset_info_from_configs(features=found, disable_shuffling=True, metadata=metadata)

    def _shard_iterators_per_split(self, dl_manager):
        layout = self.builder_config.layout
        found = trees.survey(layout, Path(dl_manager.manual_dir))
        building.refuse(found.problems)
        for split, scenes in found.scenes.items():
            self.info.metadata[split] = dict(collections.Counter(scene.split("/")[0] for scene in scenes))
        return {split: building.shards(layout, split, scenes) for split, scenes in found.scenes.items() if scenes}
