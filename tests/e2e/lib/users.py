"""Being somebody else: code run in a child process under another user id, which takes root."""

import os
import pickle
import pwd
import signal
import unittest

NOBODY = pwd.getpwnam("nobody")

needs_root = unittest.skipUnless(os.getuid() == 0, "only root can be somebody else")


def become_nobody():
    """For good, in a child process."""
    os.setgroups([])
    os.setgid(NOBODY.pw_gid)
    os.setuid(NOBODY.pw_uid)


def as_nobody(function, *args):
    """What function returns, or raises as AssertionError, when user nobody calls it in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            become_nobody()
            result = ("ok", function(*args))
        except BaseException as error:  # all of it belongs to the parent
            result = ("error", f"{type(error).__name__}: {error}")
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        outcome, value = pickle.load(pipe)
    os.waitpid(child, 0)
    if outcome == "error":
        raise AssertionError(f"as nobody: {value}")
    return value


def stay_as_nobody(function, *args):
    """Like as_nobody, but the process stays, with whatever the result holds open. Returns what ends it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            become_nobody()
            held = function(*args)  # noqa: F841: not freed while we wait
            os.write(writer, b"ok")
        except BaseException as error:  # all of it belongs to the parent
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os.close(writer)
        while True:
            signal.pause()
    os.close(writer)

    def end():
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    with os.fdopen(reader, "rb") as pipe:
        outcome = pipe.read()
    if outcome != b"ok":
        end()
        raise AssertionError(f"as nobody: {outcome.decode()}")
    return end
