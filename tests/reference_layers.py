"""Layers of defocus blur and the background behind them in NumPy and SciPy: oracle of `ops.render_layers` and `fill`.

Written as the sentences of docs/networks.md 3 say it, over whole images, one layer and one pixel at a time.
"""

import numpy as np
from scipy.ndimage import gaussian_filter


def hidden_background(image, coc, reach, jump=1.0, beyond=-np.inf):
    """{pixel: (colour, coc)} of the background that continues behind nearer pixels."""
    height, width = coc.shape
    seen = {at: (image[at].astype(np.float64), float(coc[at])) for at in np.ndindex(height, width)}

    def mean(at, distance, *fields):
        y, x = at
        around = [(y + distance * dy, x + distance * dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        farther = []
        for q in around:
            there = [field[q] for field in fields if q in field and field[q][1] > max(beyond, float(coc[at]) + jump)]
            farther += there[:1]
        return farther and tuple(np.mean([sample[i] for sample in farther], axis=0) for i in (0, 1))

    found, front = {}, seen
    for step in range(reach):
        wanted = [at for at in seen if at not in found and (step == 0 or step < abs(coc[at]) / 2)]
        found |= {at: there for at in wanted if (there := mean(at, 1, front))}
        front = found
    distance = 2 ** int(np.log2(reach / 2)) if reach > 1 else 0
    while distance >= 1:
        for _ in range(2):
            found = {at: mean(at, distance, seen, found) for at in found}
        distance //= 2
    return found


def render(image, layer, sigma, hidden=None):
    """The image with every layer blurred by its sigma, farthest (the largest number) first.

    hidden: {pixel: (colour, layer)} of what is behind.
    """
    ones = np.ones((*layer.shape, 1))
    seen = np.concatenate([image.astype(np.float64), ones], -1)
    out = np.zeros_like(seen)
    for n in range(len(sigma))[::-1]:
        source = seen * (layer == n)[..., None]
        for at, (colour, of) in (hidden or {}).items():
            if of == n:
                source[at] += [*colour, 1]
        blurred = (
            source if sigma[n] == 0 else gaussian_filter(source, (sigma[n], sigma[n], 0), radius=_radius(sigma[n]))
        )
        out = out * (1 - np.clip(blurred[..., -1:], 0, 1)) + blurred
    return out[..., :-1] / out[..., -1:]


def _radius(sigma):
    return (int(np.ceil(4 * sigma)), int(np.ceil(4 * sigma)), 0)
