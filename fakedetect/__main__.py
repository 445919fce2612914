"""The console command `fakedetect`, and `python -m fakedetect`.

Older Pythons can read this file and core/installation.py, so that they say which one is needed.
"""

import sys

OLDEST = (3, 11)


def run() -> int:
    """The program's exit code, also where Ctrl-C comes while it starts."""
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

        # All is done; ending takes a moment, in which nothing is left to be stopped.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _describe_old_python() -> str:
    from fakedetect.core.installation import environment_command

    command = environment_command()
    advice = f"Start it with: {command}" if command else "Install a newer one; README.md says how to go on."
    needed, here = (".".join(map(str, version)) for version in (OLDEST, sys.version_info[:2]))
    return f"fakedetect needs Python {needed} or newer, and this is Python {here}. {advice}"


if __name__ == "__main__":
    sys.exit(run())
