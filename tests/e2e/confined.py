"""Run a command as a systemd unit would confine it: `python confined.py outside UNIT COMMAND ...`.

Of the unit's settings it applies those that forbid system calls and capabilities, by libseccomp and setpriv;
it makes no namespaces and mounts. It needs root's rights, which the command does not get.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000 | errno.EPERM
EQUAL, MASKED_EQUAL = 4, 7
WRITE, EXECUTE = 2, 4
LAST_FAMILY = 46


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`: how an argument of a system call compares."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class Filter:
    """System calls and what becomes of them; those without a rule get the default."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._made = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def add(self, action: int, name: str, *comparisons: Comparison) -> None:
        """Add a rule; a name that this machine has no system call for says nothing."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return
        array = (Comparison * len(comparisons))(*comparisons)
        failed = self._library.seccomp_rule_add_array(
            self._made, ctypes.c_uint32(action), number, len(comparisons), array
        )
        if failed:
            raise OSError(-failed, f"no rule for {name}")

    def load(self) -> None:
        """Have it hold for this process from now on, and for all that it becomes and starts."""
        failed = self._library.seccomp_load(self._made)
        if failed:
            raise OSError(-failed, "the filter does not load")


def settings(unit: Path, key: str) -> list[str]:
    """Return what the unit says under a key, in its order."""
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{key}=")]


def named(group: str) -> set[str]:
    """Return the system calls of one of systemd's groups."""
    if not group.startswith("@"):
        return {group}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    words = [line.strip() for line in shown.stdout.splitlines()[1:]]
    return all_named(word for word in words if word and not word.startswith("#"))


def all_named(groups: Iterable[str]) -> set[str]:
    """Return the system calls of all these groups."""
    return {name for group in groups for name in named(group)}


def allowed_calls(unit: Path) -> set[str]:
    """Return the system calls that the unit allows."""
    allowed: set[str] = set()
    for line in settings(unit, "SystemCallFilter"):
        if line.startswith("~"):
            allowed -= all_named(line[1:].split())
        else:
            allowed |= all_named(line.split())
    return allowed | named("@default")


def forbid_calls(unit: Path) -> None:
    """Apply SystemCallFilter."""
    calls = Filter(REFUSE)
    for name in allowed_calls(unit):
        calls.add(ALLOW, name)
    calls.load()


def forbid_arguments(unit: Path) -> None:
    """Apply MemoryDenyWriteExecute and RestrictAddressFamilies."""
    calls = Filter(ALLOW)
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        calls.add(REFUSE, "mmap", Comparison(2, MASKED_EQUAL, WRITE | EXECUTE, WRITE | EXECUTE))
        calls.add(REFUSE, "mprotect", Comparison(2, MASKED_EQUAL, EXECUTE, EXECUTE))
        calls.add(REFUSE, "pkey_mprotect", Comparison(2, MASKED_EQUAL, EXECUTE, EXECUTE))
    (families,) = settings(unit, "RestrictAddressFamilies")
    for family in set(range(LAST_FAMILY)) - {getattr(socket, name) for name in families.split()}:
        calls.add(REFUSE, "socket", Comparison(0, EQUAL, family, 0))
    calls.load()


def without_privileges(unit: Path, command: Sequence[str]) -> list[str]:
    """Return the command with no more capabilities than the unit's."""
    (kept,) = (word.removeprefix("CAP_").lower() for word in settings(unit, "CapabilityBoundingSet"))
    only = f"-all,+{kept}"
    return ["setpriv", "--no-new-privs", f"--bounding-set={only}", f"--inh-caps={only}", "--", *command]


def main() -> None:
    """Become the command."""
    mode, unit, command = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if mode == "outside":
        command = without_privileges(unit, [sys.executable, "-P", __file__, "inside", str(unit), *command])
    else:
        forbid_arguments(unit)
        forbid_calls(unit)
    os.execvp(command[0], command)  # noqa: S606 - the command is what this is for


if __name__ == "__main__":
    main()
