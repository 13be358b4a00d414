"""RealMCVSR: triplets of ultra-wide, wide-angle and telephoto videos of one phone."""
