"""Topics of somebody else's on a real broker, read into our log: what becomes of each kind of record."""

from __future__ import annotations

import json
import random
import runpy
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from rejoinder.cli.datafolder import DataFolder
from rejoinder.cli.main import main
from rejoinder.cli.satisfaction import overview
from rejoinder.cli.signals import read
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import BadSettings, FailedPrecondition, LogReplaced, Unavailable
from rejoinder.core.types import FollowUp, Interaction, Message, Rating, RecordOutcome, Role
from rejoinder.observe.letters import Letters
from rejoinder.observe.settings import IntoTheme
from rejoinder.observe.sink import ServiceSink
from rejoinder.stream.headers import event_of
from rejoinder.stream.port import Record

from tests.brokers import shared
from tests.chaos.harness import wait_until
from tests.system.kafka.world import admin_of, opened
from tests.system.kafka.world import settings as kafka_settings
from tests.system.logs import everything
from tests.system.observe import world
from tests.system.observe.world import FLAT, Ingest, Theirs, message, observing, position, talk

pytestmark = pytest.mark.system

#: Nobody is killed here: an observer that the machine holds up for a second keeps its partitions, or it would read, and
#: say, some things twice.
settings = partial(world.settings, brokers={"session_timeout_s": 10.0})
EXAMPLES = Path(world.__file__).parents[3] / "services" / "rejoinder" / "observe" / "examples"


@pytest.fixture(scope="module")
def theirs() -> Iterator[Theirs]:
    producer = Theirs(shared())
    yield producer
    producer.close()


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    service = Ingest(tmp_path_factory.mktemp("ingest"))
    yield service
    service.process.close()


def test_the_example_is_checked_read_and_tells_how_satisfied_people_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of the README, with the example's own files: topic → observer → ingest → ledger → satisfaction."""
    prefix = world.topic_name("example-")
    assert runpy.run_path(str(EXAMPLES / "fill.py"))["fill"](shared(), prefix) == 18
    data = tmp_path / "data"
    data.mkdir()
    service = Ingest(data)
    try:
        values = yaml.safe_load((EXAMPLES / "settings.yaml").read_text())
        names = {f"{prefix}{theme['topic']}": theme["map"] for theme in values["topics"]}
        of = settings(shared(), service.address, names, into={"policy": "shop", "tenant": "default"})
        file = world.written(tmp_path, of)
        for more in ((), ("--json",)):
            with pytest.raises(SystemExit) as caught:
                main(["observe", "--settings", str(file), "--check", *more])
            assert caught.value.code == 0
            said = capsys.readouterr().out
            assert "follow_up" in said
            assert "Celsius" not in said
        chat, reactions = json.loads(said)["topics"].values()
        assert chat["outcomes"] == {"mapped": 12, "skipped": 3}
        assert chat["events"] == {"follow_up": 4, "interaction": 5}
        assert reactions["events"] == {"comment": 1, "copy": 1, "rating": 2}
        assert {name: chat["fields"][name] for name in ("role", "user")} == {"role": 1.0, "user": 1.0}
        assert chat["fields"]["model"] == pytest.approx(5 / 12)
        assert reactions["fields"]["interaction"] == 1.0
        process = world.observer_of(tmp_path, of)
        try:
            process.start()
            wait_until(lambda: service.count("interactions", "default") == 5, "five answers")
            wait_until(lambda: service.count("feedback", "default") == 8, "eight pieces of feedback")
            assert process.terminate() == 0
        finally:
            process.close()
        assert service.process.terminate() == 0
    finally:
        service.process.close()
    with DataFolder(data) as opened:
        opened.project()
        assert read(opened, None) == 8
        report = overview(opened, "default", "version")
    assert report["join_rate"] == 1.0
    (row,) = report["rows"]
    assert (row["group"], row["interactions"]) == ("shop-chat-2026-02", 5)
    assert row["sat"] >= 2
    assert row["dsat"] >= 2


def test_exchanges_are_joined_by_conversation_and_the_answer_in_the_history(theirs: Theirs, ingest: Ingest) -> None:
    """OpenAI-style bodies: what is asked next is the follow-up of the answer before it, once however often the next
    answer was generated (F07)."""
    topic = world.make(shared(), world.topic_name())
    history = [{"role": "user", "content": "How warm is it?"}]
    first = exchange("r1", history, "68 F")
    history = [*history, {"role": "assistant", "content": "68 F"}, {"role": "user", "content": "in Celsius please"}]
    theirs.send(topic, [first, exchange("r2", history, "20 C"), exchange("r3", history, "20 degrees")])
    of = settings(shared(), ingest.address, {topic: {"preset": "openai"}})
    tenant = of["into"]["tenant"]
    with observing(of):
        wait_until(lambda: position(shared(), of["read"]["group"], topic) == 3, "the position")
    answers = ingest.events("interactions", tenant)
    assert {(a.interaction_id, a.conversation_id, a.response) for a in answers} == {
        ("r1", "c", "68 F"),
        ("r2", "c", "20 C"),
        ("r3", "c", "20 degrees"),
    }
    (followed,) = ingest.events("feedback", tenant)
    assert followed.kind == FollowUp("in Celsius please")
    assert ingest.events("deadletters", tenant) == []


def exchange(identity: str, messages: list[dict[str, str]], answer: str) -> dict[str, Any]:
    return {
        "request": {"messages": messages, "user": "u", "model": "m-1", "metadata": {"conversation_id": "c"}},
        "response": {"id": identity, "choices": [{"message": {"role": "assistant", "content": answer}}]},
    }


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "by time"])
def test_turns_out_of_order_over_partitions_make_the_conversations_they_were(
    theirs: Theirs, ingest: Ingest, numbered: bool
) -> None:
    topic = world.make(shared(), world.topic_name())
    rng = random.Random(3)
    turns = [turn for c in range(4) for turn in talk(f"c{c}", 6, numbered)]
    rng.shuffle(turns)
    for turn in turns:
        theirs.send(topic, [turn], partition=rng.randrange(3))
    of = settings(shared(), ingest.address, {topic: FLAT}, order={"settle_s": 2.0})
    tenant = of["into"]["tenant"]
    with observing(of):
        wait_until(lambda: position(shared(), of["read"]["group"], topic) == len(turns), "the position")
    answers = ingest.events("interactions", tenant)
    assert len(answers) == 12
    for answer in answers:
        number = int(answer.interaction_id.split("-")[1])
        assert answer.response == f"turn {number}"
        assert [m.content for m in answer.messages] == [f"turn {n}" for n in range(1, number)]
        assert [m.role for m in answer.messages] == [Role.USER, Role.ASSISTANT] * (number // 2 - 1) + [Role.USER]
    followed = {event.interaction_id: event.kind.text for event in ingest.events("feedback", tenant)}
    assert followed == {f"c{c}-{n}": f"turn {n + 1}" for c in range(4) for n in (2, 4)}


def test_what_cannot_be_mapped_is_put_aside_and_tombstones_are_passed(
    tmp_path: Path, theirs: Theirs, ingest: Ingest
) -> None:
    """Coordinate, reason and, with the deployment's key, bytes; no user's word in the process's log."""
    topic = world.make(shared(), world.topic_name(), 1)
    bad = {"conversation_id": "c", "id": "x", "who": "stranger", "said": "the secret word", "user_id": "u"}
    theirs.send(topic, [None, *talk("c", 2), b"no json, the secret word", bad, {"who": "agent"}])
    (tmp_path / "key").write_text("ab" * 32)
    of = settings(shared(), ingest.address, {topic: FLAT}, faults={"key_file": str(tmp_path / "key")})
    tenant = of["into"]["tenant"]
    with observing(of) as observer:
        wait_until(lambda: position(shared(), of["read"]["group"], topic, 1) == 6, "the position")
        assert observer.log.count("record_not_mapped") == 3
        assert "secret" not in observer.log
    assert ingest.count("interactions", tenant) == 1
    letters = sorted(ingest.events("deadletters", tenant), key=lambda letter: letter.source.offset)
    assert [(x.source.topic, x.source.offset, x.reason) for x in letters] == [
        (f"observe:{topic}", 3, "UNREADABLE"),
        (f"observe:{topic}", 4, "INVALID_ARGUMENT"),
        (f"observe:{topic}", 5, "EMPTY_FIELD"),
    ]
    assert json.loads(letters[1].value) == bad
    assert [bool(letter.subject) for letter in letters] == [False, True, False]
    assert [bool(letter.value) for letter in letters] == [False, True, False]


def test_what_was_put_aside_is_read_again_once_the_map_is_mended(
    tmp_path: Path, theirs: Theirs, ingest: Ingest, capsys: pytest.CaptureFixture[str]
) -> None:
    """F06, F07: the answer that could not be read, and what was said behind it; once however often it is asked for."""
    topic = world.make(shared(), world.topic_name(), 1)
    turns = talk("c", 3)
    turns[1]["who"] = "bot"
    theirs.send(topic, turns)
    of = settings(shared(), ingest.address, {topic: FLAT})
    group, tenant = of["read"]["group"], of["into"]["tenant"]
    with observing(of):
        wait_until(lambda: position(shared(), group, topic, 1) == 3, "the position")
    assert ingest.count("interactions", tenant) == ingest.count("feedback", tenant) == 0
    (letter,) = ingest.events("deadletters", tenant)
    ours = {
        "log": {"path": str(ingest.log_path), "owner": ingest.address},
        "erasure": {"key_file": str(tmp_path / "key")},
    }
    (tmp_path / "key").write_text("ab" * 32)
    mended = {**FLAT, "role": {"of": "who", "is": {"customer": "user", "agent": "assistant", "bot": "assistant"}}}
    of["topics"] = [{"topic": topic, "map": mended}]
    again = ("--observe", str(world.written(tmp_path, of)), "--settings", str(world.written(tmp_path, ours)))

    def replayed(*which: str) -> dict[str, Any]:
        with pytest.raises(SystemExit) as ended:
            main(["deadletters", "replay", *again, *which, "--json"])
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return {name: count for name, count in json.loads(said.out).items() if count}

    assert replayed("--reason", "EMPTY_FIELD") == {}
    assert replayed("--reason", letter.reason) == {"taken": 1, "recorded": 2}
    assert replayed("--at", f"observe:{topic}/0/1") == {"taken": 1, "before": 2}
    (answer,) = ingest.events("interactions", tenant)
    assert (answer.interaction_id, [m.content for m in answer.messages]) == ("c-2", ["turn 1"])
    (followed,) = ingest.events("feedback", tenant)
    assert (followed.interaction_id, followed.kind) == ("c-2", FollowUp("turn 3"))
    # By the mended map the observer makes the same of the topic: nothing is new.
    of["read"]["group"] = f"{group}-again"
    with observing(of):
        wait_until(lambda: position(shared(), f"{group}-again", topic, 1) == 3, "the position")
    assert ingest.count("interactions", tenant) == ingest.count("feedback", tenant) == 1
    assert position(shared(), group, topic, 1) == 3


def test_a_poison_topic_stops_the_reader_before_it_is_carried_into_the_dead_letters(
    theirs: Theirs, ingest: Ingest
) -> None:
    topic = world.make(shared(), world.topic_name(), 1)
    theirs.send(topic, [{"other": "schema", "n": n} for n in range(30)])
    of = settings(shared(), ingest.address, {topic: FLAT}, faults={"poison_limit": 10})
    with observing(of) as observer:
        assert isinstance(observer.ended(), FailedPrecondition)
    assert ingest.count("deadletters", of["into"]["tenant"]) == 0
    assert position(shared(), of["read"]["group"], topic, 1) == 0


def test_one_record_that_cannot_be_mapped_stops_the_reader_where_that_was_asked_for(
    theirs: Theirs, ingest: Ingest
) -> None:
    topic = world.make(shared(), world.topic_name(), 1)
    theirs.send(topic, [b"no json"])
    of = settings(shared(), ingest.address, {topic: FLAT}, faults={"unmapped": "stop"})
    with observing(of) as observer:
        assert isinstance(observer.ended(), FailedPrecondition)
    assert position(shared(), of["read"]["group"], topic, 1) == 0


def test_a_topic_made_anew_is_told_and_not_read_on(theirs: Theirs, ingest: Ingest) -> None:
    topic = world.make(shared(), world.topic_name(), 1)
    theirs.send(topic, talk("c", 2))
    of = settings(shared(), ingest.address, {topic: FLAT})
    with observing(of) as observer:
        wait_until(lambda: position(shared(), of["read"]["group"], topic, 1) == 2, "the position")
        with admin_of(shared()) as admin:
            old = str(admin.describe_topics([topic])[0]["topic_id"])
            admin.delete_topics([topic])
        world.make(shared(), topic, 1)
        assert isinstance(observer.ended(), LogReplaced)
    # Brokers forget the positions of a topic with it: who pins its id is told at the next start as well.
    of["topics"][0]["id"] = old
    with observing(of) as observer:
        assert isinstance(observer.ended(), LogReplaced)


def test_a_group_without_a_position_begins_where_the_settings_say_and_no_other(theirs: Theirs, ingest: Ingest) -> None:
    topic = world.make(shared(), world.topic_name(), 1)
    theirs.send(topic, talk("before", 2))
    of = settings(shared(), ingest.address, {topic: FLAT}, read={"start": "latest"})
    group, tenant = of["read"]["group"], of["into"]["tenant"]
    with observing(of):
        # Committed before anything was read: killed now, it would not begin at a later end.
        wait_until(lambda: position(shared(), group, topic, 1) == 2, "the start")
    theirs.send(topic, talk("between", 2))
    with observing(of):
        wait_until(lambda: position(shared(), group, topic, 1) == 4, "the position")
    assert [answer.conversation_id for answer in ingest.events("interactions", tenant)] == ["between"]


def test_a_partition_that_is_added_later_is_read_from_its_first_record(theirs: Theirs, ingest: Ingest) -> None:
    """Also by a group that began at the end: what lies there came after it began."""
    topic = world.make(shared(), world.topic_name(), 1)
    theirs.send(topic, talk("before", 2))
    of = settings(shared(), ingest.address, {topic: FLAT}, read={"start": "latest"})
    group, tenant = of["read"]["group"], of["into"]["tenant"]
    with observing(of):
        wait_until(lambda: position(shared(), group, topic, 1) == 2, "the start")
    with admin_of(shared()) as admin:
        admin.create_partitions({topic: 2})
    late = Theirs(shared())
    try:
        late.send(topic, talk("added", 2), partition=1)
    finally:
        late.close()
    with observing(of):
        wait_until(lambda: position(shared(), group, topic, 2) == 4, "the position")
    assert [answer.conversation_id for answer in ingest.events("interactions", tenant)] == ["added"]


def test_an_event_that_no_request_can_hold_is_put_aside_and_the_others_are_taken(
    theirs: Theirs, ingest: Ingest
) -> None:
    """A number beyond our field, an id of half a character: neither ends the process, or it would end each time that it
    is read."""
    topic = world.make(shared(), world.topic_name(), 1)
    of = {**FLAT, "reactions": [{"kind": "copy", "when": "copied", "characters": "copied"}]}
    odd = [
        {**message("c", 4, "agent", "turn 4"), "copied": 2**40},
        {**message("c", 5, "customer", "turn 5"), "id": "\ud800"},
    ]
    values = settings(shared(), ingest.address, {topic: of}, order={"settle_s": 0.1})
    theirs.send(topic, [*talk("c", 3), *odd, *talk("d", 2)])
    with observing(values) as observer:
        wait_until(lambda: position(shared(), values["read"]["group"], topic, 1) == 7, "the position")
        assert observer.failure is None
    tenant = values["into"]["tenant"]
    answered = {answer.interaction_id for answer in ingest.events("interactions", tenant)}
    assert answered == {"c-2", "c-4", "d-2"}
    letters = {letter.source.offset: letter.reason for letter in ingest.events("deadletters", tenant)}
    assert letters == {3: "INVALID_ARGUMENT", 4: "INVALID_ARGUMENT"}


@pytest.mark.parametrize("megabytes", [17, 33], ids=["over the service's limit", "over gRPC's own"])
def test_an_event_above_the_services_limits_is_refused_alone(ingest: Ingest, megabytes: int) -> None:
    """What a busy service refuses for the moment is tried again; what no service takes would be tried for ever."""
    sink = ServiceSink(IntoTheme.model_validate({"feedback": ingest.address}))
    tenant = world.topic_name("tenant")
    asked = (Message(Role.USER, "q"),)
    events = [
        Interaction(tenant=tenant, event_id=f"{tenant}-{n}", messages=asked, response="x" * size)
        for n, size in enumerate((1, megabytes << 20, 1))
    ]
    answers: list[Any] = []

    def answered() -> bool:
        # As the observer does: a service that the machine holds up is asked again.
        with suppress(Unavailable):
            answers.append(sink.record("interactions", events))
        return bool(answers)

    try:
        wait_until(answered, "the service's answer")
    finally:
        sink.close()
    ((taken, refused, last),) = answers
    # What went with a request that was taken is a duplicate by now.
    assert {taken[0], last[0]} <= {RecordOutcome.RECORDED, RecordOutcome.DUPLICATE}
    assert ingest.count("interactions", tenant) == 2
    assert refused == (RecordOutcome.REJECTED, "TOO_LONG")


def test_a_token_that_may_not_say_when_a_record_was_taken_ends_the_observer_before_the_first_event(
    tmp_path: Path, theirs: Theirs
) -> None:
    """The service would stamp the moment of reading, and what is read again after an erasure would come back."""
    topic = world.make(shared(), world.topic_name(), 1)
    theirs.send(topic, talk("c1", 2))
    tokens = {role: f"{role}-token-of-the-test" for role in ("app", "internal")}
    callers = [{"principal": r, "token": t, "roles": [r], "tenants": ["*"]} for r, t in tokens.items()]
    (tmp_path / "callers.yaml").write_text(yaml.safe_dump(callers))
    for role, token in tokens.items():
        (tmp_path / role).write_text(token)
    service = Ingest(tmp_path, SERVER__AUTH__FILE=str(tmp_path / "callers.yaml"))
    try:
        for role in tokens:
            into = {"token_file": str(tmp_path / role)}
            of = settings(shared(), service.address, {topic: FLAT}, order={"settle_s": 0.1}, into=into)
            with observing(of) as observer:
                if role == "app":
                    failure = observer.ended()
                    assert isinstance(failure, BadSettings)
                    assert failure.metadata["field"] == "into.token_file"
                    assert position(shared(), of["read"]["group"], topic, 1) == 0
                else:
                    wait_until(lambda of=of: position(shared(), of["read"]["group"], topic, 1) == 2, "the position")
    finally:
        service.process.close()


def test_while_the_service_is_away_nothing_is_skipped(tmp_path: Path, theirs: Theirs) -> None:
    topic = world.make(shared(), world.topic_name(), 1)
    service = Ingest(tmp_path)
    of = settings(shared(), service.address, {topic: FLAT}, order={"settle_s": 0.1})
    group, tenant = of["read"]["group"], of["into"]["tenant"]
    try:
        with observing(of) as observer:
            theirs.send(topic, talk("c1", 2))
            wait_until(lambda: position(shared(), group, topic, 1) == 2, "the first")
            service.process.kill()
            theirs.send(topic, talk("c2", 2))
            wait_until(lambda: observer.log.count("turn_failed") >= 3, "pauses")
            assert position(shared(), group, topic, 1) == 2
            service.process.start()
            wait_until(lambda: position(shared(), group, topic, 1) == 4, "the second")
        assert {a.conversation_id for a in service.events("interactions", tenant)} == {"c1", "c2"}
    finally:
        service.process.close()


def test_a_wrong_map_or_topic_is_refused_at_the_start_with_the_field_named(ingest: Ingest) -> None:
    for of, named in (
        ({**FLAT, "contents": "said"}, "topics.0.map.contents: unknown field; nearest known: content"),
        ({**FLAT, "content": "said["}, "topics.0.map.content is no JMESPath"),
        (FLAT, "topic nowhere is not there"),
    ):
        with observing(settings(shared(), ingest.address, {"nowhere": of})) as observer:
            failure = observer.ended()
        assert isinstance(failure, BadSettings)
        assert named in failure.message
    with admin_of(shared()) as admin:
        assert "nowhere" not in admin.list_topics()


def test_a_late_message_changes_no_history_that_was_told(theirs: Theirs, ingest: Ingest) -> None:
    """The observer is stopped and started in the middle of a conversation: the second half has the whole history,
    from the topic itself."""
    topic = world.make(shared(), world.topic_name(), 1)
    first, second = talk("c", 4)[:2], talk("c", 4)[2:]
    of = settings(shared(), ingest.address, {topic: FLAT}, order={"settle_s": 0.1})
    group, tenant = of["read"]["group"], of["into"]["tenant"]
    for number, part in enumerate((first, second), 1):
        theirs.send(topic, part)
        with observing(of):
            wait_until(lambda number=number: position(shared(), group, topic, 1) == 2 * number, "the position")
    answers = ingest.events("interactions", tenant)
    assert [[m.content for m in answer.messages] for answer in answers] == [
        ["turn 1"],
        ["turn 1", "turn 2", "turn 3"],
    ]
    assert [(f.interaction_id, f.kind) for f in ingest.events("feedback", tenant)] == [("c-2", FollowUp("turn 3"))]


def test_reactions_come_before_or_after_what_they_are_about(theirs: Theirs, ingest: Ingest) -> None:
    chat, thumbs = (world.make(shared(), world.topic_name(what)) for what in ("chat", "thumbs"))
    thumb = {"id": "t1", "about": "c-2", "user_id": "u", "up": True}
    theirs.send(thumbs, [thumb, thumb, {"id": "t2", "note": "of another kind", "about": "c-2"}])
    theirs.send(chat, [message("c", 1, "customer", "q"), message("c", 2, "agent", "a")])
    reaction = {"kind": "rating", "when": "up != null", "number": "up", "scale": [0, 1]}
    of = {"form": "reaction", "interaction": "about", "id": "id", "user": "user_id", "reactions": [reaction]}
    values = settings(shared(), ingest.address, {chat: FLAT, thumbs: of})
    with observing(values):
        for topic, count in ((chat, 2), (thumbs, 3)):
            wait_until(
                lambda topic=topic, count=count: position(shared(), values["read"]["group"], topic) == count, topic
            )
    tenant = values["into"]["tenant"]
    assert ingest.count("interactions", tenant) == 1
    (rated,) = ingest.events("feedback", tenant)
    assert (rated.interaction_id, rated.kind) == ("c-2", Rating("", 1.0, None, 0.0, 1.0))


def test_two_replicas_share_the_partitions_and_one_may_leave(theirs: Theirs, ingest: Ingest) -> None:
    """Conversations keyed to a partition, as brokers do it: whoever has it when has the whole history."""
    topic = world.make(shared(), world.topic_name())
    of = settings(shared(), ingest.address, {topic: FLAT})
    group, tenant = of["read"]["group"], of["into"]["tenant"]
    names: list[str] = []

    def send(count: int) -> None:
        for n in range(count):
            names.append(f"c{len(names)}")
            theirs.send(topic, talk(names[-1], 4, numbered=True), partition=n % 3)

    with observing(of) as first:
        send(6)
        wait_until(lambda: ingest.count("interactions", tenant) > 0, "the first answer")
        with observing({**of, "read": {**of["read"], "member": "observe-1"}}) as second:
            wait_until(lambda: "partitions_assigned" in second.log, "its share")
            send(6)
            wait_until(lambda: world.caught_up(shared(), group, topic), "both")
        send(6)
        wait_until(lambda: world.caught_up(shared(), group, topic), "the one that stayed")
        assert first.failure is None
        assert second.failure is None
    answers = ingest.events("interactions", tenant)
    assert sorted(a.interaction_id for a in answers) == sorted(f"{c}-{n}" for c in names for n in (2, 4))
    assert {len(a.messages) for a in answers if a.interaction_id.endswith("-4")} == {3}
    assert len(ingest.events("feedback", tenant)) == len(names)
    assert ingest.events("deadletters", tenant) == []


def test_dead_letters_go_to_our_own_log_on_kafka_where_that_is_it(ingest: Ingest) -> None:
    ours = kafka_settings(shared())
    given = ("bootstrap", "prefix", "partitions", "replication", "min_insync")
    theme = {name: getattr(ours, name) for name in given} | {"make_topics": False}
    record = Record("chat", 1, 7, b"", b"no json", (), 1_700_000_000.0)
    letter = Letters(b"k" * 16, "t", SystemClock()).record(record, "topic-id", "UNREADABLE", "u")
    with opened(ours) as log:
        sink = ServiceSink(IntoTheme.model_validate({"feedback": ingest.address, "log": "kafka", "kafka": theme}))
        try:
            sink.bury([letter, letter])
        finally:
            sink.close()
        found = [event_of(record) for record in everything(log, "deadletters")]
    assert {(x.source.topic, x.source.partition, x.source.offset, x.value) for x in found} == {
        ("observe:chat", 1, 7, b"no json")
    }
