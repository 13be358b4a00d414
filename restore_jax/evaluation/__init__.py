"""Measurements of methods on data, and the dissertation's tables made of them."""
