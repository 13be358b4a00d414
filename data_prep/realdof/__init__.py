"""RealDOF: 50 defocused photographs and their sharp counterparts, for evaluation."""
