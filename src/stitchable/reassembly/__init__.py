"""Cutting a zoo of anchors into parts and making new networks of them."""
