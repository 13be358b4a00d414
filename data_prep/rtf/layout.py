"""RTF's tree, as `data_prep.rtf.prepare` makes it: 22 photographs, maps. README.md says what of this is confirmed."""

from data_prep.layout import Layout, View

LAYOUTS = {
    "sigma": Layout(
        description="Maps of sigma in thousandths of a pixel, 65535 where it is not known.",
        splits={"test": 22},
        views=(
            View("image", "image", endings=(".png", ".jpg", ".jpeg")),
            View("map", "map", bits=(16,), channels=1),
        ),
        scene=r"[\w.-]+",
        size=(360, 360),
        unused=("*.txt", "*.md"),
    )
}
