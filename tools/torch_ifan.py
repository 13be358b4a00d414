"""The published IFAN in plain PyTorch, for `restore-jax bench --torch` only: what our speed is compared with.

Written from facts about the published network, under its parameter names, so that its weights and the golden outputs
of tests/golden fit: `python tools/torch_ifan.py` compares with those. The filter map is materialised, as the published
network does; everything runs in NCHW.
"""

import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

LEAK = 0.1


def conv(i: int, o: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and leaky ReLU."""
    return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1), nn.LeakyReLU(LEAK, inplace=True))


class ResidualBlocks(nn.Module):
    """n times x = LReLU(x + conv(LReLU(conv(x)))), then the input added again if n > 1."""

    def __init__(self, channels: int, count: int):
        super().__init__()
        self.stem = nn.ModuleList(
            nn.Sequential(*conv(channels, channels), nn.Conv2d(channels, channels, 3, 1, 1)) for _ in range(count)
        )

    def forward(self, x):
        y = x
        for block in self.stem:
            y = F.leaky_relu_(block(y).add_(y), LEAK)
        return y.add_(x) if len(self.stem) > 1 else y


def predictor(i: int, c: int, last: nn.Module) -> nn.Sequential:
    """Convolution, two pairs of residual blocks, last layer."""
    return nn.Sequential(conv(i, c), ResidualBlocks(c, 2), ResidualBlocks(c, 2), last)


def filter_rows(x, taps):
    """Vertical pass: x (b, c, h, w), taps (b, c, k, h, w)."""
    size, height = taps.shape[2], x.shape[2]
    x = F.pad(x, (0, 0, size // 2, size - 1 - size // 2), mode="replicate")
    total = x[:, :, :height] * taps[:, :, 0]
    for t in range(1, size):
        total.addcmul_(x[:, :, t : t + height], taps[:, :, t])
    return total


def filter_columns(x, taps):
    """Horizontal pass: x (b, c, h, w), taps (b, c, k, h, w)."""
    size, width = taps.shape[2], x.shape[3]
    x = F.pad(x, (size // 2, size - 1 - size // 2, 0, 0), mode="replicate")
    total = x[..., :width] * taps[:, :, 0]
    for t in range(1, size):
        total.addcmul_(x[..., t : t + width], taps[:, :, t])
    return total


def iac(features, filters, steps: int, size: int = 3, released: bool = False):
    """Iterative adaptive convolution with a filter map (b, steps (2 size + 1) c, h, w) in the published order."""
    b, c, h, w = features.shape
    taps = filters[:, : steps * 2 * size * c].view(b, steps, 2, c, size, h, w)
    biases = filters[:, steps * 2 * size * c :].view(b, steps, c, h, w)
    for n in range(steps):
        features = filter_rows(features, taps[:, n, 0])
        features = filter_columns(features, taps[:, n, 0 if released else 1])
        features = F.leaky_relu_(features.add_(biases[:, n]), LEAK)
    return features


class Network(nn.Module):
    """Deblurring network; image (b, 3, h, w) in [0, 1], sides multiples of 8, to the unclipped result."""

    def __init__(self, width: int = 32, steps: int = 17, released: bool = False):
        super().__init__()
        c = 4 * width
        self.steps, self.released = steps, released
        for prefix in ("", "k"):
            i = 3
            for level, o in enumerate((width, 2 * width, c, c), start=1):
                setattr(self, f"{prefix}conv{level}_1", conv(i, o, 2 if level > 1 else 1))
                setattr(self, f"{prefix}conv{level}_2", conv(o, o))
                setattr(self, f"{prefix}conv{level}_3", conv(o, o))
                i = o
        self.DME = predictor(c, c, nn.Conv2d(c, 1, 3, 1, 1))
        self.conv_DME = conv(1, c)
        self.conv4_4 = nn.Sequential(
            conv(2 * c, c), ResidualBlocks(c, 2), ResidualBlocks(c, 2), nn.Sequential(nn.Conv2d(c, c, 3, 1, 1))
        )
        self.F = predictor(c, c, nn.Conv2d(c, 7 * steps * c, 1))
        self.conv_res = nn.Sequential(conv(c, c), ResidualBlocks(c, 3), conv(c, c))
        i = c
        for level, o in ((3, c), (2, 2 * width), (1, width)):
            up = nn.Sequential(nn.ConvTranspose2d(i, o, 4, 2, 1), nn.LeakyReLU(LEAK, inplace=True))
            setattr(self, f"upconv{level}_u", up)
            setattr(self, f"upconv{level}_1", ResidualBlocks(o, 1))
            setattr(self, f"upconv{level}_2", ResidualBlocks(o, 1))
            i = o
        self.out_res = conv(width, 3)

    def encode(self, x, prefix):
        levels = []
        for level in range(1, 5):
            for n in range(1, 4):
                x = getattr(self, f"{prefix}conv{level}_{n}")(x)
            levels.append(x)
        return levels

    def forward(self, image):
        encoded = self.encode(image, "k")[-1]
        disparity = self.conv_DME(self.DME(encoded))
        code = F.leaky_relu_(self.conv4_4(torch.cat([encoded, disparity], 1)), LEAK)
        filters = self.F(code)
        *skips, x = self.encode(image, "")
        x = self.conv_res(iac(x, filters, self.steps, released=self.released))
        del filters
        for level in (3, 2, 1):
            x = getattr(self, f"upconv{level}_u")(x).add_(skips.pop())
            x = getattr(self, f"upconv{level}_2")(getattr(self, f"upconv{level}_1")(x))
        return self.out_res(x).add_(image)


def ifan_run(height: int, width: int, channels: int, filters: int, dtype: str):
    """A function without arguments that restores one random image with random weights; 1 call = 1 inference."""
    network = Network(channels, filters).eval().to(getattr(torch, dtype))
    image = torch.rand(1, 3, height, width, dtype=getattr(torch, dtype))

    def run():
        with torch.inference_mode():
            network(image)

    return run


def iac_run(height: int, width: int, channels: int, filters: int, dtype: str):
    """Run IAC alone, its filter map given; height and width of the features."""
    features = torch.rand(1, channels, height, width, dtype=getattr(torch, dtype))
    taps = 0.3 * torch.randn(1, 7 * filters * channels, height, width, dtype=getattr(torch, dtype))

    def run():
        with torch.inference_mode():
            iac(features, taps, filters)

    return run


def check() -> float:
    """Largest difference from the golden outputs of the published network, both variants."""
    golden = pathlib.Path(__file__).parents[1] / "tests" / "golden"
    weights, outputs = np.load(golden / "ifan_weights.npz"), np.load(golden / "ifan_golden.npz")
    published = {name: torch.from_numpy(weights[name]) for name in weights.files}
    prefix, difference = "Network.", 0.0
    for variant in ("paper", "released"):
        network = Network(4, 8, variant == "released")
        network.load_state_dict({k.removeprefix(prefix): v for k, v in published.items() if k.startswith(prefix)})
        with torch.inference_mode():
            result = network(torch.from_numpy(outputs["C"])).numpy()
        difference = max(difference, float(np.abs(result - outputs[f"{variant}/result"]).max()))
    return difference


if __name__ == "__main__":
    print(f"largest difference from the published network: {check():.1e}")
