"""RealDOF's tree: 50 pairs. README.md says what of this is confirmed."""

from data_prep.layout import Layout, View

LAYOUTS = {
    "png8": Layout(
        description="8-bit PNG files.",
        splits={"test": 50},
        views=(View("source", "source"), View("target", "target")),
        scene=r"[\w.-]+",
        unused=("*.txt", "*.md"),
    )
}
