"""Pages from templates. Everything that is put into one is text: it is escaped wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rejoinder.core.errors import RejoinderError
from rejoinder.gateway.errors import http_status
from rejoinder.gateway.guard import Answer

if TYPE_CHECKING:
    from rejoinder.console.desk import Visit

HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Shown:
    """What a page answers: a template with its values, or a way onward."""

    template: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def onward(cls, where: str, *cookies: str) -> Shown:
        return cls("", {}, 303, (("location", where), *(("set-cookie", cookie) for cookie in cookies)))

    def answer(self, visit: Visit) -> Answer:
        body = rendered(self.template, visit=visit, **self.values) if self.template else ""
        return page(body, self.status)


def page(body: str, status: int = 200) -> Answer:
    return Answer(body.encode("utf-8", "replace"), status, (), HTML)


def rendered(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**{"visit": None, **values})


def refusal(error: RejoinderError) -> tuple[str, bytes]:
    """An error as a page. An unforeseen one says nothing."""
    status = http_status(error)
    message = "internal error" if status == 500 else error.message[:1000]
    body = rendered("error.html", status=status, reason=error.reason, message=message)
    return HTML, body.encode("utf-8", "replace")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("rejoinder.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"when": when, "moment": moment, "share": share, "signed": signed, "count": count, "short": short}
    return made


def when(seconds: float | None) -> str:
    """To the second, UTC."""
    return "–" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def moment(seconds: float | None) -> str:
    """As `<time datetime>` has it."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def signed(value: float) -> str:
    """A difference of shares, in points."""
    points = round(100 * value, 1)
    return "0.0" if points == 0 else f"{points:+.1f}".replace("-", "−")


def count(value: float | int) -> str:
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.4g}"


def short(text: str, most: int = 280) -> str:
    """The beginning of a long text, whole words."""
    if len(text) <= most:
        return text
    return f"{text[:most].rsplit(' ', 1)[0]} …"
