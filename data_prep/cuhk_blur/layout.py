"""The tree of the CUHK blur detection dataset: 704 defocused photographs. README.md says what of this is confirmed."""

from data_prep.layout import Layout, View


def _layout(train: int) -> Layout:
    numbers = {"train": range(1, train + 1), "test": range(train + 1, 705)}
    return Layout(
        description=f"{train} photographs to train on, {704 - train} to test on.",
        splits={split: len(of_split) for split, of_split in numbers.items()},
        views=(
            View("image", "image", endings=(".jpg",)),
            View("map", "gt", bits=(1, 8), channels=1),
        ),
        scene=r"out_of_focus\d{4}",
        numbers=numbers,
        unused=("image/motion*", "gt/motion*", "*.txt", "*.md"),
    )


LAYOUTS = {"train604": _layout(604), "train504": _layout(504)}
