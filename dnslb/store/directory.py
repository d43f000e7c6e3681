"""The state directory: whose it is, and files in it that are whole whatever happens."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

LOCK = "lock"

TROUBLE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ESTALE,
        errno.EUCLEAN,
        errno.ETIMEDOUT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
    }
)
"""What a disk or a machine in trouble says, which may pass; all else a person has to set right first."""

# What opening says of a symbolic link, a directory, and a socket.
_NO_FILE = {errno.ELOOP, errno.EISDIR, errno.ENXIO}

_log = structlog.get_logger()


class StoreError(Exception):
    """The state cannot be kept; the text says why, and what to do."""


class Claim:
    """The lock file of the directory, held by this process. Made by `claim`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def holds(self) -> bool:
        """Return whether the file is still there: who removes the directory takes the lock away with it."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let another dnslb have the directory."""
        os.close(self._descriptor)


def claim(directory: Path) -> Claim:
    """Make the directory if it is missing, and lock it for this process.

    Raise StoreError if that needs a person, OSError (TROUBLE) if it may pass.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_private(directory)
        lock = _lock_file(directory / LOCK)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{directory} is not a directory: name another one in [server] state") from error
    except OSError as error:
        if error.errno in TROUBLE:
            raise
        raise StoreError(
            f"cannot write to the state directory {directory}: {error.strerror}; make it writable for the user that"
            " runs dnslb, or name another one in [server] state"
        ) from error
    _take(directory, lock)
    return Claim(directory / LOCK, lock)


def _take(directory: Path, lock: int) -> None:
    try:
        # Of this process alone, unlike flock: a worker that outlives its controller must not keep the next one out.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise StoreError(
            f"another dnslb (pid {owner or 'unknown'}) runs with state directory {directory}: stop it,"
            " or name another directory in [server] state"
        ) from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
    except OSError as error:
        # The lock holds without it: it only tells people who has it.
        _log.warning("lock_not_signed", reason=error.strerror)


def _check_private(directory: Path) -> None:
    """Raise StoreError if anybody may write to the directory; warn if it belongs to somebody else."""
    status = directory.stat()
    if status.st_mode & stat.S_IWOTH:
        raise StoreError(
            f"anybody may write to the state directory {directory}, and so decide where mail goes: chmod o-w it,"
            " or name another one in [server] state"
        )
    if status.st_uid not in {0, os.geteuid()}:
        _log.warning("state_directory_of_another_user", directory=str(directory), uid=status.st_uid)


def _lock_file(path: Path) -> int:
    """Return the open lock file; StoreError if something else has its name, to which we must not write."""
    try:
        # A FIFO would wait for its other end, and a link lead to somebody's file.
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _no_lock(path) from error
        raise
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise _no_lock(path)
    return lock


def _no_lock(path: Path) -> StoreError:
    return StoreError(f"{path} is no regular file: remove it, or name another directory in [server] state")


def write_all(texts: Mapping[Path, str], confirm: Callable[[], None] = lambda: None) -> None:
    """Put the texts in the place of files of one directory: each is what it was or what it is to be, never less.

    `confirm` is called when all is on disk and nothing in its place; if it raises, all stays as it was.
    """
    fresh = {path: path.with_name(f"{path.name}.new") for path in texts}
    for path, text in texts.items():
        _write_new(fresh[path], text)
    confirm()
    for path, new in fresh.items():
        new.replace(path)
    _sync(next(iter(texts)).parent)


def _write_new(path: Path, text: str) -> None:
    # What lies there, a link to another file perhaps, is removed and not written through.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, *beside: str) -> Path:
    """Rename a file, and those that are named like it but for these endings; return its new name."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{count}")
    for suffix in ("", *beside):
        one = path.with_name(path.name + suffix)
        if one.exists():
            one.rename(aside.with_name(aside.name + suffix))
    return aside
