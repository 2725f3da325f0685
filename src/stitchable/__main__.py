"""``python -m stitchable`` is the command ``stitchable``."""

from stitchable.cli.main import main

if __name__ == "__main__":
    main()
