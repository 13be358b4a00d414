"""Enlarges a photograph's alpha and other channels, to go with its enlarged colours."""

import dataclasses

import cv2
import numpy as np

from restore_jax import io


def enlarged(photo: io.Photo, scale: int) -> io.Photo:
    """Return the photograph with alpha and further channels `scale` times as large (bicubic); all else stays."""
    alpha, samples = photo.alpha, photo.samples
    if alpha is not None:
        alpha = _enlarged(alpha, scale)
    if samples is not None:
        samples = np.stack([_enlarged(samples[..., n], scale) for n in range(samples.shape[2])], axis=-1)
    return dataclasses.replace(photo, alpha=alpha, samples=samples)


def _enlarged(channel: np.ndarray, scale: int) -> np.ndarray:
    size = (scale * channel.shape[1], scale * channel.shape[0])
    return io.from_float(cv2.resize(io.to_float(channel), size, interpolation=cv2.INTER_CUBIC), channel.dtype)
