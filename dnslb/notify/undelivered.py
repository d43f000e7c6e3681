"""Why a message has not arrived."""


class UndeliveredError(Exception):
    """A message has not arrived, or not surely; the text says why, without any secret. `again`: it is worth a retry."""

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again
