"""Forbidding one system call to a child process, as containers do: seccomp(2) by way of prctl(2)."""

import ctypes
import os

IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427  # on every architecture

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction))]


def forbid(system_call, error):
    """A preexec_fn after which the system call fails with this errno."""
    code = (_Instruction * 4)(
        _Instruction(_LOAD, 0, 0, 0),
        _Instruction(_EQUAL, 0, 1, system_call),
        _Instruction(_RETURN, 0, 0, _ERRNO | error),
        _Instruction(_RETURN, 0, 0, _ALLOW))
    program = _Program(len(code), code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def apply():
        for arguments in ((_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program))):
            if prctl(*arguments) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    return apply
