"""SYNDOF's configs: the source of its images and how lenses are drawn. README.md says what of this is confirmed."""

from data_prep.layout import Layout, View
from data_prep.syndof.tree import survey


def _layout(description: str) -> Layout:
    return Layout(
        description=description,
        splits={"train": None},
        views=(View("image", "image"), View("depth", "depth")),
        scene=".+",
        survey=survey,
    )


LAYOUTS = {
    "paper": _layout("Lenses of Eqs. 3.1-3.2: sigma = COC / 4, COC up to 28 pixels."),
    "released": _layout("Lenses of the published data: 50 to 85 mm, sigma = (COC - 1) / 4, COC up to 29 pixels."),
}
