"""RTF: 22 defocused photographs with maps of the radius of their defocus, for evaluation."""
