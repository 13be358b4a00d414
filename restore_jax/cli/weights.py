"""restore-jax weights lists, shows, checks and converts weights."""

import argparse
import ast
import json
import sys

from restore_jax.cli.arguments import add_verb
from restore_jax.errors import InputError
from restore_jax.report import columns, say

EXAMPLES = "restore-jax weights list"
FETCH = "restore-jax weights fetch ifan-published --accept-licence"
CONVERT = "restore-jax weights convert ifan IFAN.pytorch -o ifan.safetensors --option variant=released"


def add_arguments(parser) -> None:
    """Add the verbs below this one."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name, act, help, example):
        sub = add_verb(verbs, name, help, example=example, run=run)
        sub.set_defaults(act=act)
        return sub

    verb("list", _list, "list the weights that ship, and those that were fetched", EXAMPLES)
    sub = verb("card", _card, "show how weights were made, and their licence", "restore-jax weights card ifan")
    sub.add_argument("name", metavar="NAME|FILE", help="weights by name, or a file")
    sub = verb("verify", _verify, "check weights against their sha256", "restore-jax weights verify ifan")
    sub.add_argument("name", nargs="?", metavar="NAME", help="weights by name, or a file (default: all that are here)")
    fetching = verb("fetch", _fetch, "download published weights, check and convert them", FETCH)
    fetching.add_argument("name", nargs="*", metavar="NAME", help="one of --list, such as ifan-published")
    fetching.add_argument("--list", action="store_true", help="list what there is, its licences, and what is here")
    help = "read a copy: its address or path, or that of the archive or folder it is in"
    fetching.add_argument("--from", dest="source", metavar="URL|FILE", help=help)
    fetching.add_argument("--accept-licence", action="store_true", help="accept the licence that the release states")
    sub = verb("pull", _pull, "download weights from the Hugging Face Hub", "restore-jax weights pull hf://ORG/NAME")
    sub.add_argument("address", metavar="hf://ORG/NAME[@REVISION]", help="repository that holds model.safetensors")
    sub = verb("push", _push, "upload weights to the Hugging Face Hub", "restore-jax weights push ifan hf://ORG/NAME")
    sub.add_argument("name", metavar="NAME|FILE", help="weights by name, or a file")
    sub.add_argument("address", metavar="hf://ORG/NAME[@BRANCH]", help="repository; it is made if there is none")
    sub.add_argument("--private", action="store_true", help="make the new repository one that others cannot see")
    sub = verb("convert", _convert, "convert a published checkpoint", CONVERT)
    sub.add_argument("model", metavar="MODEL", help="the network, such as ifan")
    sub.add_argument("file", nargs="+", metavar="FILE", help=".pytorch, .pth or .npz (the first two need torch)")
    sub.add_argument("-o", "--out", required=True, metavar="OUT.safetensors", help="file to write")
    sub.add_argument("--ema", action="store_true", help="prefer weights averaged over the training, if it holds both")
    help = "option of the network, such as variant=released; may be repeated"
    sub.add_argument("--option", action="append", type=_option, default=[], metavar="KEY=VALUE", help=help)


def run(args) -> int:
    """Do what the verb below says."""
    from restore_jax import weights

    args.act(args, weights)
    return 0


def _list(args, weights):
    head = ("name", "model", "size", "gain", "licence")
    cards = [*weights.list_shipped(), *weights.list_fetched()]
    print("\n".join(columns([head, *(tuple(str(card.get(name, "-")) for name in head) for card in cards)])))


def _card(args, weights):
    print(json.dumps(weights.card(args.name), indent=2, ensure_ascii=False))


def _verify(args, weights):
    every = [*weights.list_shipped(), *weights.list_fetched()]
    for name in [args.name] if args.name else [card["name"] for card in every]:
        print(f"{name}: ok, sha256 {weights.verify(name)}")


def _fetch(args, weights):
    from restore_jax.weights import fetching

    if args.list == bool(args.name):
        raise InputError("weights fetch: give a NAME, or --list alone")
    if args.list:
        print("\n".join(columns([("name", "model", "licence", "checked", "here"), *fetching.fetched_or_not()])))
        return
    with Transfer() as transfer:
        options = {"accept_licence": args.accept_licence, "say": say, "progress": transfer}
        for path in weights.fetch(*args.name, source=args.source, **options):
            print(path)


def _pull(args, weights):
    print(weights.pull(args.address))


def _push(args, weights):
    print(weights.push(args.name, args.address, args.private))


class Transfer:
    """The progress of a download: a bar on a terminal, elsewhere a line for each quarter."""

    def __init__(self):
        self.bar, self.quarter = None, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()

    def __call__(self, done: int, total: int | None) -> None:
        """Show that `done` bytes have come of `total`, None if that is unknown."""
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = self.bar or tqdm(unit="B", unit_scale=True, leave=False, file=sys.stderr)
            self.bar.total = total
            self.bar.update(done - self.bar.n)
        elif total and 4 * done // total != self.quarter:
            self.quarter = 4 * done // total
            say(f"{done / 2**20:.1f} of {total / 2**20:.1f} MiB")


def _convert(args, weights):
    ema = {"ema": True} if args.ema else {}
    for note in weights.convert_files(args.model, args.file, args.out, **ema, **dict(args.option)) or ():
        say(note)
    print(args.out)


def _option(text: str):
    """Read KEY=VALUE, the value a number or True/False where it reads as one."""
    key, equals, value = text.partition("=")
    if not (equals and key.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value
