"""Training the joint network by drawing stitches (Algorithm 1 of the paper)."""
