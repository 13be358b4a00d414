"""RealMCVSR's tree: clips of three cameras at three sizes. README.md says what of this is confirmed."""

from data_prep.layout import Layout, View

CAMERAS = {"ultra_wide": "UW", "wide": "W", "tele": "T"}
SPLITS = {"train": 19_426, "valid": 1_141, "test": 2_540}  # frames of 137, 8 and 16 clips


def _layout(folder: str, reduction: int) -> Layout:
    others = {"HR", "LRx2", "LRx4"} - {folder}
    return Layout(
        description=f"8-bit PNG frames of {1920 // reduction}x{1080 // reduction} pixels, an example a frame.",
        splits=SPLITS,
        views=tuple(View(name, f"{{split}}/{folder}/{camera}") for name, camera in CAMERAS.items()),
        scene=r"[\w.-]+/\w+",
        size=(1920 // reduction, 1080 // reduction),
        clips=True,
        unused=(*(f"*/{other}" for other in sorted(others)), "*.txt", "*.md"),
    )


LAYOUTS = {"hr": _layout("HR", 1), "lrx2": _layout("LRx2", 2), "lrx4": _layout("LRx4", 4)}
