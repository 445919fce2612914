"""Opens the menu: `python menu.py`; `python menu.py --help` lists the commands."""

import sys

if sys.version_info < (3,):  # noqa: UP036
    # It cannot read the rest.
    sys.exit("fakedetect needs Python 3.11 or newer: python3 menu.py")

from fakedetect.__main__ import run

if __name__ == "__main__":
    sys.exit(run())
