"""restore-jax weights lists, shows, checks and converts weights."""

import argparse
import ast
import json

from restore_jax.cli.arguments import add_verb
from restore_jax.report import columns, say

EXAMPLES = "restore-jax weights list"
CONVERT = "restore-jax weights convert ifan IFAN.pytorch -o ifan.safetensors --option variant=released"


def add_arguments(parser) -> None:
    """Add the verbs below this one."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name, act, help, example):
        sub = add_verb(verbs, name, help, example=example, run=run)
        sub.set_defaults(act=act)
        return sub

    verb("list", _list, "list the weights that ship", EXAMPLES)
    sub = verb("card", _card, "show how weights were made, and their licence", "restore-jax weights card ifan")
    sub.add_argument("name", metavar="NAME|FILE", help="weights that ship, or a file")
    sub = verb("verify", _verify, "check weights against their sha256", "restore-jax weights verify ifan")
    sub.add_argument("name", nargs="?", metavar="NAME", help="weights that ship, or a file (default: all that ship)")
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
    rows = [head, *(tuple(str(card.get(name, "-")) for name in head) for card in weights.list_shipped())]
    print("\n".join(columns(rows)))


def _card(args, weights):
    print(json.dumps(weights.card(args.name), indent=2, ensure_ascii=False))


def _verify(args, weights):
    for name in [args.name] if args.name else [card["name"] for card in weights.list_shipped()]:
        print(f"{name}: ok, sha256 {weights.verify(name)}")


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
