"""Pictures of results: photographs in a row, curves, scattered points."""
