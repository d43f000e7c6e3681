"""What a restart takes up again, on disk: one small text, written whole in the place of the one before.

So there is nothing to repair, whatever the disk does: the next write that succeeds mends all. There are two of the
same, since to forget who is drained would send mail to a machine that is being taken apart. All of it blocks.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dnslb.store import legacy
from dnslb.store.damage import DamagedError
from dnslb.store.directory import set_aside, write_all
from dnslb.store.remembered import Remembered, as_text, parsed

STATE = "state.json"
COPY = "state.copy.json"


class StateFiles:
    """The two files in a directory. `told` is called with what people should know of them."""

    def __init__(self, directory: Path, told: Callable[[str], None]) -> None:
        self._paths = (directory / STATE, directory / COPY)
        self._legacy = directory / legacy.DATABASE
        self._told = told
        self._damaged: set[Path] = set()
        """Those that could not be used: they are set aside before others take their place."""

    def read(self) -> Remembered | None:
        """Return what is there, None if nothing is, or nothing that can be used.

        Raise OSError if there may be something that cannot be read now.
        """
        trouble: OSError | None = None
        for path in self._paths:
            try:
                return parsed(_octets(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                trouble = error
            except DamagedError as error:
                self._cannot_use(path, error)
        if trouble is not None:
            raise trouble
        return self._read_legacy() if self._legacy.exists() else None

    def _read_legacy(self) -> Remembered | None:
        try:
            found = legacy.read(self._legacy)
        except DamagedError as error:
            self._cannot_use(self._legacy, error)
            return None
        # If that cannot be written now, the file is read again at the next start.
        with suppress(OSError):
            self.write(found)
            self._legacy.rename(self._legacy.with_name(legacy.EVENTS))
        return found

    @property
    def has_damage(self) -> bool:
        """Whether something was there that could not be used, and has not been set aside yet."""
        return bool(self._damaged)

    def _cannot_use(self, path: Path, error: DamagedError) -> None:
        self._damaged.add(path)
        self._told(f"{path} cannot be used: {error}")

    def write(self, known: Remembered, confirm: Callable[[], None] = lambda: None) -> None:
        """Write both files. Raise OSError, or what `confirm` raises when all is prepared: then nothing has changed."""
        for path in list(self._damaged):
            if path.exists():
                self._told(f"{path} is kept as {set_aside(path, '-wal', '-shm')}")
            self._damaged.discard(path)
        write_all(dict.fromkeys(self._paths, as_text(known)), confirm)


def _octets(path: Path) -> bytes:
    """Return what is in a file. Raise DamagedError for what has no end, or waits for its other one."""
    if path.is_fifo() or path.is_char_device():
        raise DamagedError("it is no regular file")
    return path.read_bytes()
