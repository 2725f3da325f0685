"""The stitching space: which cuts may be joined, and the graph of all paths. No torch here."""
