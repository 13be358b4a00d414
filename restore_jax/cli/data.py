"""restore-jax data: list, check and build the datasets of data_prep. Imports nothing heavy until a verb runs."""


def add_verbs(verbs, verb) -> None:
    """Adds `data` and its verbs to the subparsers `verbs`; `verb` makes one as `restore_jax.cli.parser` does."""
    sub = verb(verbs, "data", None, "list, check and build datasets", "restore-jax data list")
    kinds = sub.add_subparsers(metavar="VERB", required=True)
    verb(kinds, "list", data_list, "list the datasets", "restore-jax data list")
    example = "restore-jax data check dpdd downloads/dd_dp_dataset_png"
    check = verb(kinds, "check", data_check, "compare a downloaded tree with what its authors publish", example)
    example = "restore-jax data build dpdd downloads/dd_dp_dataset_png -o datasets"
    build = verb(kinds, "build", data_build, "check a downloaded tree and build array_record files of it", example)
    for sub in (check, build):
        sub.add_argument("name", metavar="NAME", help="of data list: dpdd, or dpdd/png8 for one of its configs")
        sub.add_argument("tree", metavar="TREE", help="the folder the download was unpacked to")
        sub.add_argument("--partial", action="store_true", help="a part of the dataset: counts are not checked")
    example = "restore-jax data align sharp.jpg blurred.jpg -o pairs"
    align = verb(kinds, "align", data_align, "align a sharp photo with a blurred one of the same scene", example)
    align.add_argument("sharp", metavar="SHARP", help="is warped, and its colours matched")
    align.add_argument("blurred", metavar="BLURRED", help="stays as it is, but for a crop")
    align.add_argument("-o", "--out", required=True, metavar="DIR", help="gets blurred/NAME.png and sharp/NAME.png")
    align.add_argument("--flow", action="store_true", help="also what no homography explains, such as parallax")
    example = "restore-jax data render photo.jpg depth.png --unit mm --focus 1500"
    render = verb(kinds, "render", data_render, "defocus an image by its depth, with the map of its blur", example)
    render.add_argument("image", metavar="IMAGE", help="sharp")
    depth = ".npy, .dpt, or a grey PNG or TIFF of the image's size; inf and nan are holes"
    render.add_argument("depth", metavar="DEPTH", help=depth)
    render.add_argument("--unit", required=True, metavar="mm|cm|m|disparity", help="of the depth's numbers")
    render.add_argument("-o", "--out", metavar="FILE", help="default: IMAGE_defocused.png; the map goes beside it")
    render.add_argument("--max-coc", type=float, default=28.0, metavar="PX", help="largest diameter of blur (28)")
    render.add_argument("--focus", type=float, metavar="DEPTH", help="what is sharp, in the unit (default: drawn)")
    render.add_argument("--seed", type=int, default=0, metavar="N", help="that the focus is drawn by (0)")
    example = "restore-jax data camera photo.jpg -o sheet.png"
    camera = verb(kinds, "camera", data_camera, "show twenty draws of the camera that ifan is trained with", example)
    camera.add_argument("photo", metavar="PHOTO", help="a sharp photograph, of which the middle is shown")
    camera.add_argument("-o", "--out", required=True, metavar="FILE", help="the sheet, for example sheet.png")
    camera.add_argument("--seed", type=int, default=0, metavar="N", help="another number draws other cameras (0)")
    build.add_argument(
        "-o", "--out", metavar="DATA_DIR", help="default: $RESTORE_JAX_DATA or ~/.cache/restore_jax/datasets"
    )


def data_list(args) -> int:
    """restore-jax data list."""
    import data_prep
    from restore_jax.report import columns

    rows = [("name", "scenes", "views")]
    for dataset in data_prep.NAMES:
        for i, (config, layout) in enumerate(data_prep.layouts(dataset).items()):
            splits = ", ".join(f"{split} {count or '?'}" for split, count in layout.splits.items())
            name = f"{dataset}/{config}{' (default)' if i == 0 else ''}"
            rows.append((name, splits, ", ".join(view.name for view in layout.views)))
    print("\n".join(columns(rows)))
    return 0


def data_check(args) -> int:
    """restore-jax data check: 0 if nothing is wrong, else 2."""
    import data_prep

    found = data_prep.survey(args.name, args.tree, args.partial)
    for problem in found.problems:
        print(problem)
    if found.problems:
        return 2
    scenes = sum(map(len, found.scenes.values()))
    layout = data_prep.find(args.name, args.partial)[2]
    counted = "complete" if None not in layout.splits.values() else "scenes not counted"
    print(f"{args.name}: {scenes} scenes, {len(layout.views)} views, {counted}")
    return 0


def data_align(args) -> int:
    """restore-jax data align."""
    from data_prep.alignment_pairs import align_files, summary

    print(summary(align_files(args.sharp, args.blurred, args.out, flow=args.flow)))
    return 0


def data_render(args) -> int:
    """restore-jax data render."""
    from data_prep.syndof.own_pair import render_files

    found = render_files(args.image, args.depth, args.unit, args.out, args.max_coc, args.seed, args.focus)
    for path in found.values():
        print(path)
    return 0


def data_camera(args) -> int:
    """restore-jax data camera."""
    import numpy as np

    from restore_jax.data.camera_sheet import camera_sheet
    from restore_jax.errors import InputError
    from restore_jax.io import from_float, read_photo, to_float, write_photo
    from restore_jax.train.config import load_config

    config = load_config("configs/ifan.py:camera")
    photo = from_float(read_photo(args.photo).pixels, np.uint8)
    try:
        sheet = camera_sheet(photo / np.float32(255), config.camera, config.data.margin, seed=args.seed)
    except InputError as error:
        raise InputError(f"{args.photo}: {error}") from None
    write_photo(args.out, to_float(sheet))
    print(args.out)
    return 0


def data_build(args) -> int:
    """restore-jax data build."""
    import data_prep

    path = data_prep.build(args.name, args.tree, args.out, args.partial)
    print(path)
    for split, count in data_prep.split_sizes(path).items():
        print(f"{split}: {count}")
    return 0
