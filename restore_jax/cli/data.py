"""restore-jax data lists, checks and builds the datasets of data_prep, and aligns and renders pairs of photographs."""

import data_prep
from restore_jax.cli.arguments import add_verb
from restore_jax.errors import InputError
from restore_jax.report import columns

EXAMPLES = "restore-jax data list"


def add_arguments(parser) -> None:
    """Add the verbs below this one."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    add_verb(verbs, "list", "list the datasets", example=EXAMPLES, run=_list)
    example = "restore-jax data check dpdd downloads/dd_dp_dataset_png"
    check = add_verb(
        verbs, "check", "compare a downloaded tree with what its authors publish", example=example, run=_check
    )
    example = "restore-jax data build dpdd downloads/dd_dp_dataset_png -o datasets"
    build = add_verb(
        verbs, "build", "check a downloaded tree and build array_record files of it", example=example, run=_build
    )
    for sub in (check, build):
        sub.add_argument("name", metavar="NAME", help="name in data list: dpdd, or dpdd/png8 for one of its configs")
        sub.add_argument("tree", metavar="TREE", help="folder that the download was unpacked to")
        sub.add_argument("--partial", action="store_true", help="take a part of the dataset: scenes are not counted")
    help = "folder of the built datasets (default: $RESTORE_JAX_DATA or ~/.cache/restore_jax/datasets)"
    build.add_argument("-o", "--out", metavar="DATA_DIR", help=help)
    example = "restore-jax data align sharp.jpg blurred.jpg -o pairs"
    align = add_verb(
        verbs, "align", "align a sharp photo with a blurred one of the same scene", example=example, run=_align
    )
    align.add_argument("sharp", metavar="SHARP", help="sharp photo; it is warped, and its colours matched")
    align.add_argument("blurred", metavar="BLURRED", help="blurred photo; it stays as it is, but for a crop")
    align.add_argument("-o", "--out", required=True, metavar="DIR", help="gets blurred/NAME.png and sharp/NAME.png")
    align.add_argument("--flow", action="store_true", help="align also what no homography explains, such as parallax")
    example = "restore-jax data render photo.jpg depth.png --unit mm --focus 1500"
    render = add_verb(
        verbs, "render", "defocus an image by its depth, with the map of its blur", example=example, run=_render
    )
    add = render.add_argument
    add("image", metavar="IMAGE", help="sharp image")
    add("depth", metavar="DEPTH", help=".npy, .dpt, or a grey PNG or TIFF of the image's size; inf and nan are holes")
    add("--unit", required=True, metavar="mm|cm|m|disparity", help="unit of the depth's numbers")
    add("-o", "--out", metavar="FILE", help="output file (default: IMAGE_defocused.png); the map goes beside it")
    add("--max-coc", type=float, default=28.0, metavar="PX", help="largest diameter of blur in pixels (default: 28)")
    add("--focus", type=float, metavar="DEPTH", help="depth that is sharp, in the unit (default: drawn by chance)")
    add("--seed", type=int, default=0, metavar="N", help="seed that the focus is drawn with (default: 0)")
    example = "restore-jax data camera photo.jpg -o sheet.png"
    camera = add_verb(
        verbs, "camera", "show twenty draws of the camera that ifan is trained with", example=example, run=_camera
    )
    camera.add_argument("photo", metavar="PHOTO", help="sharp photograph, of which the middle is shown")
    camera.add_argument("-o", "--out", required=True, metavar="FILE", help="the sheet, for example sheet.png")
    camera.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another number draws other cameras (default: 0)"
    )


run = None  # each verb below has its own


def _list(args) -> int:
    rows = [("name", "scenes", "views")]
    for dataset in data_prep.NAMES:
        for i, (config, layout) in enumerate(data_prep.layouts(dataset).items()):
            splits = ", ".join(f"{split} {count or '?'}" for split, count in layout.splits.items())
            name = f"{dataset}/{config}{' (default)' if i == 0 else ''}"
            rows.append((name, splits, ", ".join(view.name for view in layout.views)))
    print("\n".join(columns(rows)))
    return 0


def _check(args) -> int:
    """Print the problems of a tree; 2 if there are any."""
    survey = data_prep.survey(args.name, args.tree, args.partial)
    for problem in survey.problems:
        print(problem)
    if survey.problems:
        return 2
    scenes = sum(map(len, survey.scenes.values()))
    layout = data_prep.find(args.name, args.partial)[2]
    counted = "complete" if None not in layout.splits.values() else "scenes not counted"
    print(f"{args.name}: {scenes} scenes, {len(layout.views)} views, {counted}")
    return 0


def _align(args) -> int:
    from data_prep.alignment_pairs import align_files, summary

    print(summary(align_files(args.sharp, args.blurred, args.out, flow=args.flow)))
    return 0


def _render(args) -> int:
    from data_prep.syndof.own_pair import render_files

    files = render_files(args.image, args.depth, args.unit, args.out, args.max_coc, args.seed, args.focus)
    for path in files.values():
        print(path)
    return 0


def _camera(args) -> int:
    from restore_jax import io
    from restore_jax.data.camera_sheet import camera_sheet
    from restore_jax.train.config import load_config

    config = load_config("configs/ifan.py:camera")
    photo = io.to_float(io.from_float(io.read_photo(args.photo).pixels, "uint8"))
    try:
        sheet = camera_sheet(photo, config.camera, config.data.margin, seed=args.seed)
    except InputError as error:
        raise InputError(f"{args.photo}: {error}") from None
    io.write_photo(args.out, io.to_float(sheet))
    print(args.out)
    return 0


def _build(args) -> int:
    path = data_prep.build(args.name, args.tree, args.out, args.partial)
    print(path)
    for split, count in data_prep.split_sizes(path).items():
        print(f"{split}: {count}")
    return 0
