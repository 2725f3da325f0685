"""What a step minimises: terms, the teachers they ask, and their weighted sum."""
