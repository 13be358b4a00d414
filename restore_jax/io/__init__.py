"""Files in and out: photographs, the codecs below them, and writes that are whole or not there.

`photo` is one in memory, `photos` reads and writes them, `finding` finds them, `left_out` names what a format cannot
hold, `numbers` turns pixels into floats and back; `atomic` replaces files whole, `codecs` has one file per format.
"""

from restore_jax.io.finding import find_photos
from restore_jax.io.numbers import from_float, to_float
from restore_jax.io.photo import Photo
from restore_jax.io.photos import (
    FORMATS,
    MAX_PIXELS,
    SUFFIXES,
    check_writable,
    identify,
    is_deep,
    output_suffix,
    read_bytes,
    read_numbers,
    read_photo,
    write_photo,
)

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "Photo",
    "check_writable",
    "find_photos",
    "from_float",
    "identify",
    "is_deep",
    "output_suffix",
    "read_bytes",
    "read_numbers",
    "read_photo",
    "to_float",
    "write_photo",
]
