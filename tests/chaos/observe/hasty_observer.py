"""The fault that the validator must see: an observer that commits its position before the log has what it read."""

from __future__ import annotations

import sys

from rejoinder.observe import __main__ as process
from rejoinder.observe.observer import Observer


class Hasty(Observer):
    def _deliver(self) -> None:
        self._commit()
        super()._deliver()


if __name__ == "__main__":
    process.Observer = Hasty  # type: ignore[misc]
    sys.exit(process.main())
