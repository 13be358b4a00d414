"""Redraw the deep levels of an IFAN whose bottleneck has died out, and keep its shallow ones.

    python tools/redraw_ifan.py WEIGHTS|ifan-small PHOTO OUT.safetensors

The encoder's last level, the reconstructor's first and, with --filters, the whole filter branch are drawn anew. Each
drawn kernel is scaled until its output on the middle of PHOTO has the standard deviation in `TARGETS`: signals are then
as large in the depth as they are in the shallow levels, which still know how to restore. A head that reads the blur off
the filters' code is added, as configs/ifan.py:small trains it.
"""

import argparse

import jax
import numpy as np

from restore_jax import io, models, weights
from restore_jax.models.ifan import with_identity_filters

FILTER_BRANCH = ("filter_encoder", "disparity_estimator", "disparity_features", "filter_features", "filter_predictor")
TARGETS = {  # standard deviation of a convolution's output, by its place
    **{("feature_encoder", f"conv4_{n}"): 0.35 for n in (1, 2, 3)},
    ("reconstructor", "conv_in"): 0.35,
    **{("reconstructor", "blocks", f"conv_{n}_0"): 0.3 for n in range(3)},
    **{("reconstructor", "blocks", f"conv_{n}_1"): 0.12 for n in range(3)},
    ("reconstructor", "conv_mid"): 0.3,
    ("reconstructor", "up3"): 0.15,
}
SIDE = 256  # pixels of the photograph that are looked at


def main() -> None:
    """Read weights, redraw, write; print the spread of the filters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("photo")
    parser.add_argument("out")
    parser.add_argument("--filters", action="store_true", help="draw the filter branch anew too")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    loaded = weights.load(args.weights)
    photo = io.read_photo(args.photo).pixels
    top, left = ((side - SIDE) // 2 for side in photo.shape[:2])
    photo = np.asarray(photo[top : top + SIDE, left : left + SIDE])[None]
    options = {"width": loaded.model.width, "num_filters": loaded.model.num_filters, "blur": True}
    options["output_leak"] = loaded.model.output_leak
    model = models.create("ifan", **options)
    fresh = with_identity_filters(model.init(jax.random.key(args.seed), photo), model)["params"]
    params = {**jax.tree.map(np.array, loaded.params["params"]), "blur_head": fresh["blur_head"]}
    if args.filters:
        params |= {name: fresh[name] for name in FILTER_BRANCH}
    params = jax.tree.map(np.array, params)
    for part, name, *_ in TARGETS:
        params[part][name] = jax.tree.map(np.array, fresh[part][name])

    intermediates = jax.jit(
        lambda params: model.apply({"params": params}, photo, capture_intermediates=True)[1]["intermediates"]
    )
    for path, target in TARGETS.items():
        layer, output = params, intermediates(params)
        for name in path:
            layer, output = layer[name], output[name]
        layer["kernel"] *= target / float(output["__call__"][0].std())
    filters = model.apply({"params": params}, photo)["filters"]
    print(f"{args.out}: the filters vary by {float(filters.std((1, 2)).mean()):.3f} from pixel to pixel")
    weights.save(args.out, {"params": params}, "ifan", options, {})


if __name__ == "__main__":
    main()
