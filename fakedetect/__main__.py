"""The console command `fakedetect`, and `python -m fakedetect`.

Older Pythons can read this file and core/installation.py, so that they can name the required version.
"""

import sys

OLDEST = (3, 11)


def run() -> int:
    """Run the program and return its exit code, also if Ctrl-C comes while it starts."""
    if sys.version_info < OLDEST:
        print(_describe_old_python(), file=sys.stderr)
        return 2
    try:
        from fakedetect.menu import main

        return main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except ImportError as error:
        from fakedetect.core.errors import describe_missing, is_own_import

        if not isinstance(error, ModuleNotFoundError) or is_own_import(error):
            raise
        print(describe_missing(error), file=sys.stderr)
        return 2
    finally:
        import signal

        # The work is done. Ctrl-C during the exit must not print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _describe_old_python() -> str:
    from fakedetect.core.installation import environment_command

    command = environment_command()
    advice = f"Start it with: {command}" if command else "Install a newer Python; see README.md."
    needed, here = (".".join(map(str, version)) for version in (OLDEST, sys.version_info[:2]))
    return f"fakedetect needs Python {needed} or newer, and this is Python {here}. {advice}"


if __name__ == "__main__":
    sys.exit(run())
