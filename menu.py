"""Opens the menu: `python menu.py`; `python menu.py --help` lists the commands."""

import sys

from fakedetect.menu import main

if __name__ == "__main__":
    sys.exit(main())
