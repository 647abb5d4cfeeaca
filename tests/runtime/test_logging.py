from __future__ import annotations

import io
import logging

from rejoinder.runtime.logging import EventLog, LineFormatter, event_log


def logger(library_text: bool = False) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    out = logging.Logger("somelibrary")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("reward", library_text))
    out.addHandler(handler)
    return out, stream


def test_an_event_is_one_line_of_facts() -> None:
    out, stream = logger()
    EventLog(out).info("model_loaded", version="head-v3", seconds=1.25, parts=["a", "b"])
    stamp, *rest = stream.getvalue().split()
    assert stamp.startswith("ts=20")
    assert rest == [
        "level=info",
        "service=reward",
        "event=model_loaded",
        "version=head-v3",
        "seconds=1.25",
        "parts=a,b",
    ]


def test_a_value_that_would_forge_a_line_or_hold_words_is_its_size() -> None:
    out, stream = logger()
    EventLog(out).warning("event_refused", user="x\nts=0 level=info event=paid", text="no")
    assert stream.getvalue().count("\n") == 1
    assert "user=<28_chars> text=<2_chars>" in stream.getvalue()


def test_an_error_is_its_type_and_places() -> None:
    out, stream = logger()
    try:
        raise ValueError("my doctor")
    except ValueError as error:
        EventLog(out).error("call_failed", error, reason="INTERNAL")
    assert "reason=INTERNAL stack=ValueError(" in stream.getvalue()
    assert "doctor" not in stream.getvalue()


def test_a_librarys_message_is_its_place_unless_text_is_let_through() -> None:
    out, stream = logger()
    out.warning("could not read %s", "my doctor")
    assert "logger=somelibrary place=test_logging:" in stream.getvalue()
    assert "doctor" not in stream.getvalue()
    loud, heard = logger(library_text=True)
    loud.warning("could not read %s", "my doctor")
    assert "text='could not read my doctor'" in heard.getvalue()


def test_a_room_that_logs_by_hand_shows_its_template_and_guarded_arguments() -> None:
    out, stream = logger()
    out.name = "rejoinder.stream.writer"
    out.warning("write failed reason=%s for %s", "DISK_FULL", "my doctor")
    assert "template='write failed reason=%s for %s' args=DISK_FULL,<9_chars>" in stream.getvalue()


def test_the_process_log_takes_over_what_libraries_print() -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    try:
        log = event_log("reward", stream)
        log.info("serving_started", port=1)
        logging.getLogger("somelibrary").warning("words")
        logging.getLogger("somelibrary").info("not even a line")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert [line.split()[3].split("=")[1] for line in stream.getvalue().splitlines()] == [
        "serving_started",
        "library_spoke",
    ]
