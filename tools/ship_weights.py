"""Put trained weights into the package: safetensors and card with sha256.

    python tools/ship_weights.py runs/small/final.safetensors ifan-small card.json [--dtype bfloat16]

card.json holds what only a person knows: data, commands, steps, seed, licence, gain, metrics.
"""

import argparse
import json
import pathlib

import jax
import ml_dtypes
import numpy as np

from restore_jax.weights import read_safetensors, save
from restore_jax.weights.registry import SHIPPED, sha256
from restore_jax.weights.tree import flatten


def main() -> None:
    """Writes NAME.safetensors and NAME.json into the package's weights/shipped, and prints path, size and sha256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("name")
    parser.add_argument("card")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    args = parser.parse_args()
    params, header = read_safetensors(args.weights)
    dtype = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}[args.dtype]
    params = jax.tree.map(lambda x: x.astype(dtype), params)
    count = sum(leaf.size for leaf in flatten(params).values())
    card = {"model": header["model"], "options": header["options"], "parameters": count, "dtype": args.dtype}
    card |= json.loads(pathlib.Path(args.card).read_text())
    path = SHIPPED / f"{args.name}.safetensors"
    save(path, params, header["model"], header["options"], card)
    size = path.stat().st_size
    card |= {"size": f"{size / 2**20:.1f} MiB", "sha256": sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    print(path, card["size"], card["sha256"])


if __name__ == "__main__":
    main()
