"""PixelDP: defocused dual-pixel photographs of a telephone, without sharp counterparts."""
