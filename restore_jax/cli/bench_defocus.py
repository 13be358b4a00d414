"""restore-jax bench defocus measures DMENet and deconvolution by a map, and the parts of their time."""

import json
import pathlib

from restore_jax.cli.arguments import new_file, positive, size_of

EXAMPLES = "restore-jax bench defocus --size 320x240"


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    sizes = {"type": size_of(8), "metavar": "WxH"}
    add("--size", **sizes, default=(480, 640), help="width and height of DMENet's image (default: 640x480)")
    help = "width and height of the image that is deconvolved (default: 1680x1120)"
    add("--deconvolved", **sizes, default=(1120, 1680), help=help)
    add("--width-divisor", type=positive, default=1, metavar="N", help="divide DMENet's channels by N (default: 1)")
    add("--repeats", type=positive, default=3, help="rounds of measuring (default: 3)")
    add("--json", type=new_file, metavar="FILE", help="write what was measured there")


def run(args) -> int:
    """Measure, print what takes how long, and write --json."""
    from restore_jax.bench import defocus, report

    rows = defocus.measure(args.size, args.deconvolved, args.width_divisor, args.repeats)
    facts = report.machine()
    print("{device}, {cpu}, {cores} cores, jax {jax}, Python {python}".format(**facts))
    print("\n".join(defocus.lines(rows)))
    if args.json:
        document = {"command": args.words[1:], "machine": facts, "rows": rows}
        pathlib.Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0
