"""A run is a folder: its configuration, its files, and the steps that write them."""
