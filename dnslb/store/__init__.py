"""What outlives the daemon: what a restart takes up again, and the history of events. One directory, one dnslb."""

from dnslb.store.directory import TROUBLE, StoreError, write_all
from dnslb.store.event import Event, EventKind
from dnslb.store.remembered import MemberKey, Remembered
from dnslb.store.store import Store

__all__ = ["TROUBLE", "Event", "EventKind", "MemberKey", "Remembered", "Store", "StoreError", "write_all"]
