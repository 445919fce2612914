"""The console command `fakedetect`, and `python -m fakedetect`."""

import sys


def run() -> int:
    """The program's exit code, also where Ctrl-C comes while it starts."""
    try:
        from fakedetect.menu import main

        return main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    finally:
        import signal

        # All is done; ending takes a moment, in which nothing is left to be stopped.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(run())
