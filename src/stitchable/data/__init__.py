"""Readers for image data: folders, parquet files, digits."""
