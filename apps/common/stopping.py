"""Whether this process was asked to end. Loops over due work look here between two rows.

A plain flag: a signal's handler may set it at any moment, also while the process waits.
"""

from __future__ import annotations

import time

STEP_SECONDS = 0.1

_asked = False


def ask(signum: int = 0, frame: object = None) -> None:
    """Finish what is in hand, then end. Takes a signal handler's arguments."""
    global _asked
    _asked = True


def asked() -> bool:
    return _asked


def wait(seconds: float) -> None:
    """Sleep, but not on once the process was asked to end."""
    until = time.monotonic() + seconds
    while not _asked and (left := until - time.monotonic()) > 0:
        time.sleep(min(STEP_SECONDS, left))


def forget() -> None:
    """Start anew in the same process."""
    global _asked
    _asked = False
