"""restore-jax bench measures speed and memory of networks and operations on this machine."""

import datetime
import json
import os
import pathlib

from restore_jax.cli.arguments import new_file, positive, size_of
from restore_jax.errors import InputError

EXAMPLES = "restore-jax bench ifan iac --torch --json bench.json"


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    metavar = "ifan|iac|matching|deform|NETWORK|train|render|defocus|vsr"
    help = "what to measure (default: ifan), or the name of a network, which is measured at its published width; "
    help += "train, render, defocus and vsr have options of their own"
    add("what", nargs="*", default=["ifan"], metavar=metavar, help=help)
    help = "width and height in pixels of the image (default: 1280x720)"
    add("--size", type=size_of(8), default=(720, 1280), metavar="WxH", help=help)
    add("--full", action="store_true", help="measure IFAN at 1680x1120 too")
    add("--width", type=positive, default=32, metavar="C", help="channels at full size (default: 32)")
    add("--filters", type=positive, default=17, metavar="N", help="filter pairs of a pixel (default: 17)")
    help = "number format of the computation (default: float32)"
    add("--dtype", choices=("float32", "bfloat16"), default="float32", help=help)
    add("--repeats", type=positive, default=5, help="rounds of measuring (default: 5)")
    add("--torch", action="store_true", help="measure the same network in PyTorch beside ours")
    add("--json", type=new_file, metavar="FILE", help="write everything measured there")


def run(args) -> int:
    """Measure, print the table, and write --json."""
    from restore_jax.bench import networks
    from restore_jax.bench.programs import Settings, why_no_torch
    from restore_jax.bench.report import machine, ratios, table

    for word in args.what:
        known = (*networks.WHAT, *networks.others())
        if word not in known:
            raise InputError(f"bench: {word!r} is none of {', '.join(known)}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    absent = why_no_torch() if args.torch else None
    settings = [Settings(*args.size, args.width, args.filters, args.dtype)]
    if args.full and args.size != networks.FULL:
        settings.append(settings[0]._replace(height=networks.FULL[0], width=networks.FULL[1]))

    rows = networks.measure(settings, args.what, args.repeats, args.torch and absent is None)
    compared, facts = ratios(rows), machine() | {"load": load}
    print(f"restore-jax bench {' '.join(args.words)}".rstrip() + f", {datetime.date.today()}, {args.dtype}")
    print("{device}, {cpu}, {cores} cores, jax {jax}, Python {python}, load before {load:.1f}".format(**facts))
    if load > 0.5:
        print("other programs were running: trust ratios before times, and PyTorch's times least (its threads wait)")
    print()
    print(table(rows), end="\n\n")
    for r in compared:
        memory = f", memory {r['run']:.2f} (whole process {r['process']:.2f})" if "run" in r else ""
        print(f"{r['of']} / {r['to'].removeprefix(r['of'] + ', ')}, {r['size']}: time {r['time']:.2f}{memory}")
    if absent:
        print(f"no comparison with PyTorch: {absent}")
    if args.json:
        document = {"command": args.words, "machine": facts, "rows": rows, "ratios": compared}
        pathlib.Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0
