"""NumPy's .npy files of numbers, without trust in what their headers claim."""

import os
from typing import BinaryIO

import numpy as np


def read(fp: BinaryIO, most: int) -> np.ndarray:
    """Return the array of a file.

    ValueError for objects, more than `most` numbers, or another size than the header says.
    """
    try:
        version = np.lib.format.read_magic(fp)
    except ValueError as error:
        raise ValueError("not a NumPy file (.npy)") from error
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"a .npy file of version {version[0]}.{version[1]}")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = header(fp)
    if dtype.hasobject or dtype.kind not in "fiub":
        raise ValueError(f"holds {dtype}, not numbers")
    count = 1
    for side in shape:
        if not 0 < side <= most or (count := count * side) > most:
            raise ValueError(f"its shape {shape} is nothing this is used for")
    at = fp.tell()
    if fp.seek(0, os.SEEK_END) != at + count * dtype.itemsize:
        raise ValueError("truncated or damaged: its size is not that of its shape")
    fp.seek(at)
    array = np.frombuffer(fp.read(), dtype)
    return array.reshape(shape, order="F" if by_columns else "C")
