"""Log lines: `ts=… level=info service=feedback event=server_started port=50051`, one per line on stderr.

An event is named in the past tense; its facts pass `core.redact`, so that no line holds a user's words. A library's
own message may quote a request: of it only logger, level and place are printed, unless `library_text` is set.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from rejoinder.core import redact


class EventLog:
    """What a room logs with. owns: nothing but the way to the process's log."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def info(self, event: str, **facts: Any) -> None:
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, error: BaseException | None = None, **facts: Any) -> None:
        """error: printed as its type and places, without its text."""
        self._write(logging.ERROR, event, facts, error)

    def _write(self, level: int, event: str, facts: dict[str, Any], error: BaseException | None = None) -> None:
        parts = [f"{name}={redact.fact(name, value)}" for name, value in facts.items()]
        if error is not None:
            parts.append(f"stack={redact.causes(error)}")
        self._logger.log(level, event, extra={"facts": parts})


class LineFormatter(logging.Formatter):
    """A record as one line; of a record that is not ours, its place."""

    def __init__(self, service: str, library_text: bool = False) -> None:
        super().__init__()
        self._service = service
        self._library_text = library_text

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        head = f"ts={stamp}.{int(record.msecs):03d}Z level={record.levelname.lower()} service={self._service}"
        facts = getattr(record, "facts", None)
        if facts is not None:
            return " ".join([head, f"event={record.msg}", *facts])
        parts = [head, "event=library_spoke", f"logger={record.name}", f"place={record.module}:{record.lineno}"]
        if record.name.startswith("rejoinder."):
            # Our own rooms' templates are constants; what is put into them passes the guard.
            args = record.args if isinstance(record.args, tuple) else ()
            parts += [f"template={record.msg!r}", f"args={redact.fact('args', args)}"]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append(f"stack={redact.causes(record.exc_info[1])}")
        if self._library_text:
            parts.append(f"text={record.getMessage()!r}")
        return " ".join(parts)


def event_log(service: str, stream: Any, library_text: bool = False) -> EventLog:
    """The process's log on a stream; libraries' warnings and errors go there too."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(service, library_text))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    ours = logging.getLogger(f"rejoinder.{service}")
    ours.setLevel(logging.INFO)
    return EventLog(ours)
