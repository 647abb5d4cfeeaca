"""Nasty inputs until time is up: `python -m tests.hostile.fuzz --seconds 120 --seed 0 [--only TARGET] [--keep FOLDER]`.

A service must answer each with OK or with a status and reason of ours, in time; a refusal must write nothing, what was
answered OK must be stored, and the ledger must go on reading. A reader of files must return or raise an error of ours,
in time, and an import that ends with an error must have written nothing. Everything else is a finding: it is printed
once per place with its seed and number, and its bytes are kept.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from rejoinder.core.errors import RejoinderError
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.topics import TOPICS
from rejoinder.v1 import feedback_pb2, ledger_pb2, policy_pb2

from tests.chaos.harness import wait_until
from tests.hostile import mutate
from tests.hostile.readers import READERS, Reader
from tests.hostile.seeds import SEEDS
from tests.hostile.services import MESSAGE_BYTES, Services

#: Statuses that a request alone may lead to; anything else is a bug of ours or a service that has gone away.
ANSWERS = frozenset(
    {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "ABORTED", "PERMISSION_DENIED"}
)
#: What gRPC itself says to a message of more than twice our own limit.
TOO_LARGE = "RESOURCE_EXHAUSTED/"
HANGS_S = 10


@dataclass
class Found:
    """What was met. owns: the counts, and the first input of each finding."""

    keep: Path
    answers: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)
    #: The first input of each answer, for whoever picks rows for the table.
    first: dict[str, bytes] = field(default_factory=dict)

    def answered(self, target: str, told: str, data: bytes) -> None:
        key = f"{target} {told}"
        self.answers[key] += 1
        if len(data) < len(self.first.get(key, b"x" * 400)):
            self.first[key] = data

    def wrong(self, target: str, what: str, number: str, data: bytes) -> None:
        key = f"{target}: {what}"
        self.answers[key] += 1
        if key not in self.findings:
            path = self.keep / f"{target.replace(' ', '-')}-{len(self.findings)}"
            path.write_bytes(data)
            self.findings[key] = number
            print(f"FOUND {key}\n  at {number}, kept as {path} ({len(data)} bytes): {data[:200]!r}", flush=True)


def fuzz_services(
    services: Services, found: Found, seed: int, only: Sequence[str], seconds: float = math.inf, most: float = math.inf
) -> int:
    """How many requests were sent, until either is reached."""
    seeds = [(target, message) for target, message in SEEDS if not only or target in only]
    deadline, number = time.monotonic() + seconds, 0
    while seeds and number < most and time.monotonic() < deadline:
        rng = random.Random(f"{seed}-{number}")
        target, message = rng.choice(seeds)
        data = mutate.message(rng, message)
        _one_request(services, found, target, data, f"seed {seed} number {number}")
        number += 1
        if number % 300 == 0:
            _check_ledger(services, found, f"seed {seed} before number {number}")
    if number:
        _check_ledger(services, found, f"seed {seed} before number {number}")
    return number


def _one_request(services: Services, found: Found, target: str, data: bytes, number: str) -> None:
    process = services.processes[target.split(".")[0]]
    before, said_before = services.stored(), process.log_path.stat().st_size
    began = time.monotonic()
    told, raw = services.answer(target, data)
    status, _, reason = told.partition("/")
    found.answered(target, told, data)
    known = status in (*ANSWERS, "OK", "RECORDED", "DUPLICATE", "REJECTED") and (reason or "/" not in told)
    if not known and not (told == TOO_LARGE and len(data) > 2 * MESSAGE_BYTES):
        with process.log_path.open() as log:
            log.seek(said_before)
            place = next((line.partition("stack=")[2] for line in log if "stack=" in line), "")
        found.wrong(target, f"answered {told} {place.strip()}", number, data)
    if time.monotonic() - began > HANGS_S:
        found.wrong(target, "took long", number, data)
    wanted = _writes(target, told, data, raw)
    if wanted is None:
        return
    try:
        wait_until(lambda: services.stored() >= before + wanted and not services.spooled(), "it to be stored", 30.0)
    except TimeoutError:
        where = "waits in a spool for ever" if services.spooled() else "was not stored"
        found.wrong(target, f"answered {told}, and it {where}", number, data)
    if services.stored() > before + wanted:
        found.wrong(target, f"answered {told}, and wrote more than that", number, data)


def _writes(target: str, told: str, data: bytes, raw: bytes) -> int | None:
    """Records that an answer means; None where that cannot be said from outside."""
    if target.startswith("feedback.Record") and raw:
        results = feedback_pb2.RecordResponse.FromString(raw).results
        return sum(result.outcome == feedback_pb2.RECORD_OUTCOME_RECORDED for result in results)
    if target == "feedback.CommitStep" or target.startswith("rollouts."):
        return None if told == "OK" else 0
    if target == "policy.Generate" and told == "OK":
        return int(not policy_pb2.GenerateRequest.FromString(data).unlogged)
    if target == "ledger.Erase" and told == "OK":
        # One record, or none where the user's erasure is under way.
        return None
    return int(told == "OK" and target == "rerank.Rerank")


def _check_ledger(services: Services, found: Found, number: str) -> None:
    """It reads on, and every process lives."""
    for name in services.processes:
        if not services.serves(name):
            found.wrong(name, f"is away: {services.processes[name].log_end()[-600:]}", number, b"")

    def caught_up() -> bool:
        told, raw = services.answer("ledger.GetParity", b"")
        rows = ledger_pb2.GetParityResponse.FromString(raw).rows if told == "OK" else ()
        return bool(rows) and all(row.position >= row.end for row in rows)

    try:
        if services.stored():
            wait_until(caught_up, "the ledger")
    except TimeoutError:
        found.wrong("ledger", "does not read on", number, b"")


def fuzz_readers(
    readers: Mapping[str, Reader],
    folder: Path,
    found: Found,
    seed: int,
    seconds: float = math.inf,
    most: float = math.inf,
) -> int:
    """How many files were read, until either is reached."""
    names = list(readers)
    data = folder / "data"
    deadline, number = time.monotonic() + seconds, 0
    while names and number < most and time.monotonic() < deadline:
        rng = random.Random(f"{seed}-{number}")
        name = rng.choice(names)
        reader = readers[name]
        made = {"json lines": mutate.json_lines, "json": mutate.json_document, "yaml": mutate.yaml_document}
        content = made[reader.written](rng, reader.seeds)
        path = folder / "input"
        path.write_bytes(content)
        _one_file(found, name, reader, path, data, f"seed {seed} number {number}", content)
        number += 1
    return number


def _one_file(found: Found, name: str, reader: Reader, path: Path, data: Path, number: str, content: bytes) -> None:
    before = stored_in(data / "log.db")
    try:
        with _quiet(), _alarm(HANGS_S):
            reader.read(path, data)
        found.answered(name, "OK", content)
    except RejoinderError as error:
        found.answered(name, error.reason, content)
        if stored_in(data / "log.db") != before:
            found.wrong(name, f"ended with {error.reason}, and wrote", number, content)
    except click.ClickException as error:
        found.answered(name, type(error).__name__, content)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "rejoinder" in f.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else "?"
        # One place is one finding, whoever came there.
        found.wrong("files", f"{type(error).__name__} at {where}", f"{name}, {number}", content)


def stored_in(path: Path) -> int:
    """Records on the log of a data folder."""
    if not path.exists():
        return 0
    log = FollowerLog(str(path), None)  # type: ignore[arg-type]
    try:
        return sum(sum(log.end_offsets(topic).values()) for topic in TOPICS)
    finally:
        log.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    def late(signum: int, frame: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for services, and as long again for files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], help="a target (may be repeated)")
    parser.add_argument("--keep", type=Path, help="folder for inputs; a temporary one by default")
    parser.add_argument("--show", action="store_true", help="print the shortest input of each answer")
    arguments = parser.parse_args()
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    keep.mkdir(parents=True, exist_ok=True)
    found = Found(keep)
    warnings.simplefilter("ignore")
    sent = read = 0
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.only or any("." in target for target in arguments.only):
            services = Services(Path(folder)).start()
            try:
                sent = fuzz_services(services, found, arguments.seed, arguments.only, arguments.seconds)
            finally:
                services.close()
        readers = {name: row for name, row in READERS.items() if not arguments.only or name in arguments.only}
        read = fuzz_readers(readers, Path(folder), found, arguments.seed, arguments.seconds)
    for answer, count in sorted(found.answers.items()):
        print(f"{count:7} {answer}" + (f" {found.first.get(answer, b'')!r}" if arguments.show else ""))
    print(f"{sent} requests, {read} files, {len(found.findings)} findings kept in {keep}")
    return 1 if found.findings else 0


if __name__ == "__main__":
    sys.exit(main())
