"""CUHK blur detection: partially defocused photographs and maps of where they are blurred."""
