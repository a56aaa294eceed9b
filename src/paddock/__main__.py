"""Lets ``python -m paddock`` do what ``paddock`` does."""

import sys

from paddock.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
