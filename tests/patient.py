"""A caller for whom a process may stand still for some seconds."""

from __future__ import annotations

from rejoinder.clients import Connection

#: Longer than any pause of the machine.
_CONNECT_MS = 30_000


class Patient(Connection):
    """An application gives an attempt to connect three seconds, since another replica may be quicker, and a call that
    may not be repeated fails with it. Where there is one process, and it was held up, that is nobody's fault."""

    def options(self) -> list[tuple[str, str | int]]:
        given = super().options()
        assert "grpc.min_reconnect_backoff_ms" in dict(given)
        return [(name, _CONNECT_MS if name == "grpc.min_reconnect_backoff_ms" else value) for name, value in given]
