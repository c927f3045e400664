"""How patient the tests are. Nothing is ever measured: these only end what would hang."""

import os
import time

SANITIZER = os.environ.get("TLSAGENT_SANITIZER", "")

# Seconds after which what should have happened is taken not to happen.
PATIENCE = 60 if SANITIZER else 20


def eventually(condition, what, seconds=PATIENCE):
    """Waits until condition() is true and returns what it returned; AssertionError when it stays false."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.005)
