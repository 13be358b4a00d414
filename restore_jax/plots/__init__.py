"""Pictures of results: photographs in a row (`panels`), curves and scattered points (`charts`)."""
