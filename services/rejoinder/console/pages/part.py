"""A part of a page whose service may be away: the rest of the page is shown all the same."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rejoinder.core.errors import RejoinderError

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """value: None where it could not be had; why: the reason then, a stable word."""

    value: T | None
    why: str = ""
    message: str = ""


async def part(asked: Awaitable[T], borne: tuple[type[RejoinderError], ...] = (RejoinderError,)) -> Part[T]:
    """borne: errors that leave the rest of the page as it is; any other is the page's own refusal."""
    try:
        return Part(await asked)
    except borne as error:
        return Part(None, error.reason, error.message)
