"""How stitching layers start: least squares on features, or Kaiming."""
