"""Opens the menu: `python menu.py`; `python menu.py --help` lists the commands."""

import sys

from fakedetect.__main__ import run

if __name__ == "__main__":
    sys.exit(run())
