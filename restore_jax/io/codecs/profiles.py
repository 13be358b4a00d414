"""ICC profiles that are made anew where a file says its colours in another way, or its pixels change their kind.

Profiles are version 4.3 matrix profiles (ICC.1:2022), their curves parametric or taken over as they are. Code points
of primaries and transfer are those of ITU-T H.273.
"""

import struct

import numpy as np

BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: (BT709, D65),
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), (0.310, 0.316)),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65),
    6: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), D65),
    7: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), D65),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), (0.314, 0.351)),
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65),
}
_SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709 = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_TRANSFERS = {1: _BT709, 6: _BT709, 14: _BT709, 15: _BT709, 13: _SRGB, 8: (1.0,), 4: (2.2,), 5: (2.8,)}
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Curve = tuple[float, ...]  # (gamma,) or (g, a, b, c, d): (a x + b)^g from d on, c x below


def space(profile: bytes | None) -> str:
    """Return the colours that a profile is for: "RGB", "GRAY", "CMYK", ..., or "" if it cannot be read."""
    return profile[16:20].decode("ascii", "replace").strip() if profile and len(profile) > 128 else ""


def of_code_points(primaries: int, transfer: int) -> bytes | None:
    """Return the profile of H.273 primaries and transfer.

    None where a profile of this kind cannot say them, as for PQ.
    """
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        return None
    return matrix(*_PRIMARIES[primaries], curve(_TRANSFERS[transfer]))


def matrix(primaries: tuple, white: tuple[float, float], tone: bytes) -> bytes:
    """Return the profile of RGB primaries and white, all as (x, y), whose three channels have the tone curve `tone`."""
    ends = np.array([_xyz(*point) for point in primaries]).T
    columns = ends * np.linalg.solve(ends, _xyz(*white))
    adapted = np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ _D50 / (_BRADFORD @ _xyz(*white))) @ _BRADFORD)
    return _profile(adapted @ columns, tone, _matrix_tag(adapted))


def from_grey(profile: bytes) -> bytes | None:
    """Return the RGB profile that shows equal channels as the grey profile shows one. None if it has no tone curve."""
    tone = _tag(profile, b"kTRC")
    if tone is None:
        return None
    adapted = _tag(matrix(BT709, D65, tone), b"chad")
    ends = [struct.unpack(">3i", _tag(matrix(BT709, D65, tone), name)[8:20]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    return _profile(np.array(ends).T / 65536, tone, adapted)


def curve(numbers: Curve) -> bytes:
    """Return a parametric tone curve, from the file's numbers to light, both in [0, 1]."""
    kind = {1: 0, 5: 3}[len(numbers)]
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, numbers))


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def _matrix_tag(values: np.ndarray) -> bytes:
    return b"sf32\0\0\0\0" + b"".join(map(_fixed, values.ravel()))


def _text(words: str) -> bytes:
    body = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">LL4sLL", 1, 12, b"enUS", len(body), 28) + body


def _tag(profile: bytes, name: bytes) -> bytes | None:
    try:
        (count,) = struct.unpack_from(">L", profile, 128)
        for number in range(min(count, 200)):
            found, at, size = struct.unpack_from(">4sLL", profile, 132 + 12 * number)
            if found == name and at + size <= len(profile):
                return profile[at : at + size]
    except struct.error:
        pass
    return None


def _profile(columns: np.ndarray, tone: bytes, adapted: bytes) -> bytes:
    def colour(values):
        return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))

    tags = {b"desc": _text("made by restore_jax"), b"cprt": _text("CC0"), b"wtpt": colour(_D50), b"chad": adapted}
    tags |= {name: colour(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone)
    table, heap, places = struct.pack(">L", len(tags)), b"", {}
    begin = 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        if body not in places:
            places[body] = begin + len(heap)
            heap += body + bytes(-len(body) % 4)
        table += struct.pack(">4sLL", name, places[body], len(body))
    size = struct.pack(">L", begin + len(heap))
    head = size + b"\0\0\0\0\x04\x30\0\0mntrRGB XYZ " + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(68, b"\0") + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + heap
