"""Commands that measure the quality of weights on data that nothing was trained on; `make quality` runs them."""
