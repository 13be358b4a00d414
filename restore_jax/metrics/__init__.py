"""Metrics, each defined once, under a named convention (docs/metrics.md).

The functions here come from `images`. `fields_of_view` measures a video inside and outside its reference's view,
`defocus` measures defocus maps, and `similarity` compares windows of two images.
"""

from restore_jax.metrics.images import CONVENTIONS, Convention, lpips, mae, psnr, ssim

__all__ = ["CONVENTIONS", "Convention", "lpips", "mae", "psnr", "ssim"]
