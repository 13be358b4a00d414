"""Put trained weights into the package: safetensors and card with sha256.

    python tools/ship_weights.py runs/small/final.safetensors ifan-small card.json --dtype bfloat16 --option blur=False

card.json holds what only a person knows: data, commands, steps, seed, licence, gain, metrics. An option that is given
changes the network; parameters that only training needed and the changed network lacks are left out.
"""

import argparse
import ast
import json
import pathlib

import ml_dtypes
import numpy as np

from restore_jax.weights import read_safetensors, save
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.registry import SHIPPED, sha256
from restore_jax.weights.tree import flatten, unflatten


def main() -> None:
    """Write NAME.safetensors and NAME.json into the package's weights/shipped; print path, size and sha256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("name")
    parser.add_argument("card")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    params, header = read_safetensors(args.weights)
    changed = dict(option.split("=", 1) for option in args.option)
    options = header["options"] | {key: ast.literal_eval(value) for key, value in changed.items()}
    dtype = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}[args.dtype]
    arrays = flatten(params)
    kept = {name: arrays[name].astype(dtype) for name in flatten(parameter_shapes(header["model"], options))}
    count = sum(array.size for array in kept.values())
    card = {"model": header["model"], "options": options, "parameters": count, "dtype": args.dtype}
    card |= json.loads(pathlib.Path(args.card).read_text())
    path = SHIPPED / f"{args.name}.safetensors"
    save(path, unflatten(kept), header["model"], options, card)
    size = path.stat().st_size
    card |= {"size": f"{size / 2**20:.1f} MiB", "sha256": sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    print(path, card["size"], card["sha256"])


if __name__ == "__main__":
    main()
