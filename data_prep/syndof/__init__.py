"""SYNDOF: defocus rendered from images and their depth, with the blur of every pixel known."""
