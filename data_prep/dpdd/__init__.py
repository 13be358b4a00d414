"""DPDD: defocused photographs, their dual-pixel views and sharp counterparts."""
