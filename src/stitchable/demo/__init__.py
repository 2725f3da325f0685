"""A small trained family that comes with the package, so that every command can be tried at once."""
