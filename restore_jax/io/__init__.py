"""Files in and out: photographs, the codecs below them, and writes that are whole or not there.

The names here come from `photos`; `atomic` replaces files whole, `codecs` has one file per image format.
"""

from restore_jax.io.photos import (
    FORMATS,
    MAX_PIXELS,
    Photo,
    check_writable,
    find_photos,
    from_float,
    read_bytes,
    read_numbers,
    read_photo,
    to_float,
    write_photo,
)

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Photo",
    "check_writable",
    "find_photos",
    "from_float",
    "read_bytes",
    "read_numbers",
    "read_photo",
    "to_float",
    "write_photo",
]
