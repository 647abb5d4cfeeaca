"""What can be turned at the console: `REJOINDER_CONSOLE__HTTP__PORT=8090`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from rejoinder.gateway.settings import HttpTheme
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.settings import ServerSettings, Theme


class ConsoleHttp(HttpTheme):
    port: int = Field(default=8090, ge=0, le=65535)
    """HTTP port of the pages; 0 takes a free one and says which in the log."""
    hosts: tuple[str, ...] = ()
    """Names (`console.example`) under which pages may be asked for, beside those of loopback, where nobody signs in:
    any other is a stranger's page that was led here by its own name server."""


class SourceTheme(CallerTheme):
    """A service that is asked. The token is the visitor's own; token_file is for a console where nobody signs in."""

    address: str = ""
    """host:port; "" where the deployment has none: what it knows is not shown then."""


class PolicyTheme(Theme):
    name: str = "assist"
    """The line of versions that is shown."""
    registry: str = ""
    """Folder or fsspec address of the registry: rounds, versions, what people said of pairs. "" shows none."""
    rounds: Path | None = None
    """Folder of the rounds' pair sets; unset: pairs are not shown."""


class SessionTheme(Theme):
    idle_s: float = Field(default=1_800.0, gt=0)
    """Seconds without a page after which a visitor signs in again."""
    life_s: float = Field(default=28_800.0, gt=0)
    """Seconds after which a visitor signs in again whatever they do."""
    most: int = Field(default=1_000, ge=1)
    """Sessions at once; of more the longest unused ends. They are in memory: a restart ends them all."""


class LooksTheme(Theme):
    file: Path = Path("rejoinder-data/looks.jsonl")
    """Who looked at users' words: a JSON line each, on disk before the words are shown. Without it none are shown."""
    key_file: Path | None = None
    """Secret under which its lines name answers and users: the ledger's (`erasure.key_file`), where it lies here; unset
    takes `<file>.key`, made at the first use."""


class ConsoleSettings(Theme):
    server: ServerSettings = ServerSettings(port=50059)
    """Health (gRPC), limits, TLS (of both ports) and callers: whose token signs in here."""
    http: ConsoleHttp = ConsoleHttp()
    """The HTTP port."""
    ledger: SourceTheme = SourceTheme(address="127.0.0.1:50055")
    """What is known."""
    feedback: SourceTheme = SourceTheme(address="127.0.0.1:50051")
    """Where labels are recorded."""
    rollouts: SourceTheme = SourceTheme()
    """The rollout engine."""
    policy: PolicyTheme = PolicyTheme()
    """What is made of the evidence."""
    session: SessionTheme = SessionTheme()
    """How long a visitor stays signed in."""
    looks: LooksTheme = LooksTheme()
    """The record of looks at users' words."""
