"""What a stitch will reach, told before it is trained or measured, and how far that can be believed."""
