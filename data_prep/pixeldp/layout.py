"""PixelDP's tree: dual-pixel views of a Pixel 4. README.md says what of this is confirmed."""

from data_prep.layout import Layout, View


def _layout(bits: int) -> Layout:
    return Layout(
        description=f"{bits}-bit PNG files.",
        splits={"test": None},  # the number is not published
        views=(
            View("combined", "test_c/source", bits=(bits,)),
            View("left", "test_l/source", suffixes=("_L", ""), bits=(bits,)),
            View("right", "test_r/source", suffixes=("_R", ""), bits=(bits,)),
        ),
        scene=r"[\w.-]+",
        unused=("test_c/target", "test_l/target", "test_r/target", "*.txt", "*.md"),
        rotation=90,
    )


LAYOUTS = {"png16": _layout(16), "png8": _layout(8)}
