"""DPDD's tree: 500 scenes in four views. README.md says what of this is confirmed."""

from data_prep.layout import Layout, View


def _layout(bits: int) -> Layout:
    return Layout(
        description=f"{bits}-bit PNG files.",
        splits={"train": 350, "val": 74, "test": 76},
        views=(
            View("combined", "{split}_c/source", bits=(bits,)),
            View("left", "{split}_l/source", suffixes=("_L", ""), bits=(bits,)),
            View("right", "{split}_r/source", suffixes=("_R", ""), bits=(bits,)),
            View("target", "{split}_c/target", bits=(bits,), own_names=True),
        ),
        scene=r"\w{4}\d{4}",  # as cameras name their files: 1P0A0917
        size=(1680, 1120),
        unused=("*_l/target", "*_r/target", "*.txt", "*.md", "*_labels.npy"),
    )


LAYOUTS = {"png16": _layout(16), "png8": _layout(8)}
