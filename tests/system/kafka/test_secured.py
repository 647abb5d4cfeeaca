"""SASL/SCRAM, TLS and mTLS against listeners that ask for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    NewTopic,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)
from rejoinder.cli.supervisor import free_ports
from rejoinder.core.errors import BadSettings, FailedPrecondition, LogUnavailable
from rejoinder.observe.settings import BrokersTheme
from rejoinder.rollouts.kafkaowner import KafkaOwner
from rejoinder.stream.kafka.foreign import ForeignTopics, Position, Start
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import NewRecord
from rejoinder.stream.topics import OWNABLE, OwnTopics, full_name, of_kinds, own_name

from tests.brokers import Cluster
from tests.chaos.harness import wait_until
from tests.system.ingest.test_tls import Authority
from tests.system.kafka.world import UNHURRIED, admin_of, drain, new, opened, password_file, settings
from tests.system.logs import everything

pytestmark = pytest.mark.system

PASSWORD = "correct horse"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


#: What each process is granted: NOTES.md of stream has the same table for people.
#: Topic → operations; "*" stands for every topic of the prefix. Transactional ids stand by themselves.
GRANTED: dict[str, dict[str, tuple[ACLOperation, ...]]] = {
    "feedback": {
        "*": (ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS, ACLOperation.CREATE),
        "interactions": (ACLOperation.WRITE,),
        "feedback": (ACLOperation.WRITE,),
        "signals": (ACLOperation.WRITE,),
    },
    "signals": {
        "*": (ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS),
        "evidence": (ACLOperation.READ,),
        "signals": (ACLOperation.WRITE,),
        "deadletters": (ACLOperation.WRITE,),
    },
    "ledger": {
        "*": (ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS, ACLOperation.READ),
        "erasures": (ACLOperation.WRITE,),
        "evidence": (ACLOperation.WRITE,),
    },
    "rollouts": {
        "*": (ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS),
        "arms": (ACLOperation.READ, ACLOperation.WRITE),
    },
    "policy": {"*": (ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS), "arms": (ACLOperation.READ,)},
}
#: Groups and transactional ids: process → kind, prefix, operations.
NAMED = {
    ("rollouts", ResourceType.TRANSACTIONAL_ID, "arms/"): (ACLOperation.WRITE, ACLOperation.DESCRIBE),
    ("signals", ResourceType.TRANSACTIONAL_ID, "signals:"): (ACLOperation.WRITE, ACLOperation.DESCRIBE),
    ("signals", ResourceType.GROUP, "signals:"): (ACLOperation.READ,),
    ("ledger", ResourceType.GROUP, "signals:"): (ACLOperation.DESCRIBE,),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secured")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "brokers").make()


@pytest.fixture(scope="module")
def cluster(folder: Path, authority: Authority) -> Iterator[Cluster]:
    cert, key = authority.issue("broker", also=",IP:127.0.0.1")
    chain = folder / "broker-chain.pem"
    chain.write_text(key.read_text() + cert.read_text() + authority.ca.read_text())
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(chain),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.ca),
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        # Brokers and the tests' own admin come by the open listener; everybody else by what was granted, and nothing
        # is granted by not being mentioned.
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
    }
    for listener in ("scram", "both"):
        for mechanism in ("256", "512"):
            properties[f"listener.name.{listener}.scram-sha-{mechanism}.sasl.jaas.config"] = SCRAM
    listeners = {"SCRAM": "SASL_PLAINTEXT", "BOTH": "SASL_SSL", "MUTUAL": "SSL"}
    with Cluster(folder, properties=properties, listeners=listeners) as running:
        running.start()
        with admin_of(running.address) as admin:
            # A user may be named once in a request.
            for mechanism, users in (("SCRAM-SHA-256", ["feedback"]), ("SCRAM-SHA-512", [*GRANTED, "observe"])):
                made = [UserScramCredentialUpsertion(user, mechanism, PASSWORD) for user in users]
                assert not any(admin.alter_user_scram_credentials(made).values())
            wait_until(lambda: len(known_users(admin)) == len(GRANTED) + 2, "the users, at the broker")
        yield running


def known_users(admin: KafkaAdminClient) -> list[tuple[str, int]]:
    """User and mechanism of each password, as the broker has heard of them: a moment after they were written down."""
    found = admin.describe_user_scram_credentials()
    return [(user, one["mechanism"]) for user, row in found.items() for one in row["credential_infos"]]


def grant(admin: KafkaAdminClient, acls: Sequence[ACL]) -> None:
    """Returns when the broker goes by them, a moment after they were written down."""
    admin.create_acls(acls)
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    every = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, anything)
    wait_until(lambda: set(acls) <= set(admin.describe_acls(every)[0]), "what was granted, at the broker")


def speaks(cluster: Cluster, of: KafkaSettings, user: str = "feedback") -> None:
    """Everything a process does on a log passes through these clients: producer, reader, member, transaction. user: as
    the brokers know the process; it is granted everything on its own log."""
    kinds = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)
    prefixed = ACLResourcePatternType.PREFIXED
    with admin_of(cluster.address) as admin:
        grant(admin, [allow(user, kind, f"{of.prefix}.", prefixed, ACLOperation.ALL) for kind in kinds])
    with opened(of) as log:
        log.append([new("k", "one")]).result(60)
        member = log.subscribe("g", ["feedback"], "m1")
        assert [record.value for record in drain(member, 1)] == [b"one"]
        transaction = log.transaction("slot-0")
        transaction.step([new("k", "two", "signals")], member)
        assert [record.value for record in everything(log)] == [b"one"]
        transaction.close()
        member.close()


# The other one over TLS stands below.
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", pytest.param("SCRAM-SHA-512", marks=pytest.mark.proof)])
def test_scram_with_a_password_file(cluster: Cluster, folder: Path, mechanism: str) -> None:
    file = password_file(folder, PASSWORD)
    speaks(cluster, settings(cluster.at("SCRAM"), sasl=mechanism, user="feedback", password_file=file, **UNHURRIED))


def test_scram_over_tls(cluster: Cluster, folder: Path, authority: Authority) -> None:
    file = password_file(folder, PASSWORD)
    of = {"sasl": "SCRAM-SHA-512", "user": "feedback", "password_file": file, **UNHURRIED}
    speaks(cluster, settings(cluster.at("BOTH"), **of, tls=True, ca_file=authority.ca))


def test_mtls_names_the_process_by_its_certificate(cluster: Cluster, authority: Authority) -> None:
    cert, key = authority.issue("feedback")
    of = settings(cluster.at("MUTUAL"), tls=True, ca_file=authority.ca, cert_file=cert, key_file=key, **UNHURRIED)
    speaks(cluster, of, "CN=feedback")


def test_a_wrong_password_is_told_with_the_user_and_the_file_and_never_shown(cluster: Cluster, folder: Path) -> None:
    file = password_file(folder, "wrong horse")
    of = settings(cluster.at("SCRAM"), sasl="SCRAM-SHA-512", user="feedback", password_file=file, request_s=2.0)
    # The broker says so, or it has hung up before that is read, which a broker does that stops as well: both name what
    # to look at.
    with pytest.raises((BadSettings, LogUnavailable)) as refused, opened(of):
        pass
    said = str(refused.value)
    assert "kafka.password_file" in said
    assert "feedback" in said
    assert "horse" not in said


def test_a_password_file_that_is_not_there_is_named(cluster: Cluster, folder: Path) -> None:
    of = settings(cluster.at("SCRAM"), sasl="SCRAM-SHA-512", user="feedback", password_file=folder / "none")
    with pytest.raises(BadSettings, match="none cannot be read"), opened(of):
        pass


def test_a_broker_of_another_authority_is_not_spoken_to(cluster: Cluster, folder: Path) -> None:
    stranger = Authority(folder, "stranger").make()
    cert, key = stranger.issue("feedback")
    of = settings(cluster.at("MUTUAL"), tls=True, ca_file=stranger.ca, cert_file=cert, key_file=key, request_s=6.0)
    with pytest.raises(BadSettings, match=r"do not trust each other: check kafka.ca_file"), opened(of):
        pass


def of_acme(value: str, topic: str = "feedback") -> NewRecord:
    return replace(new("k", value, topic), tenant="acme")


def allow(user: str, kind: ResourceType, name: str, how: ACLResourcePatternType, operation: ACLOperation) -> ACL:
    return ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name, how))


@pytest.fixture(scope="module")
def granted(cluster: Cluster, folder: Path) -> dict[str, KafkaSettings]:
    """Settings of each process on one log, with nothing but what GRANTED says; the tenant acme has its own topics."""
    file = password_file(folder, PASSWORD)
    own = {"acme": OwnTopics(partitions=1)}
    of = settings(
        cluster.at("BOTH"), sasl="SCRAM-SHA-512", user="feedback", password_file=file, tenants=own, **UNHURRIED
    )
    literal, prefixed = ACLResourcePatternType.LITERAL, ACLResourcePatternType.PREFIXED
    acls = []
    for user, topics in GRANTED.items():
        for topic, operations in topics.items():
            names = [topic, own_name(topic, "acme")] if topic in OWNABLE else [topic]
            where = [(full_name(of.prefix, name), literal) for name in names]
            for name, how in [(f"{of.prefix}.", prefixed)] if topic == "*" else where:
                acls += [allow(user, ResourceType.TOPIC, name, how, operation) for operation in operations]
    for (user, kind, name), operations in NAMED.items():
        acls += [allow(user, kind, f"{of.prefix}.{name}", prefixed, operation) for operation in operations]
    with admin_of(cluster.address) as admin:
        grant(admin, acls)
    ca = Authority(folder, "brokers").ca
    return {user: replace(of, user=user, tls=True, ca_file=ca, make_topics=user == "feedback") for user in GRANTED}


def test_every_process_does_its_work_with_the_acls_it_is_said_to_need(granted: dict[str, KafkaSettings]) -> None:
    with opened(granted["feedback"]) as log:
        log.append([new("k", "one"), new("k", "two", "interactions"), of_acme("five")]).result(60)
    with opened(granted["ledger"]) as log:
        log.append([new("n", "reference", "evidence"), of_acme("reference", "evidence")]).result(60)
    with opened(granted["signals"], appends=False) as log:
        step = log.transaction("signals:set/0")
        member = log.subscribe("signals:set", ["evidence", "evidence@acme"], "0")
        assert [record.value for record in drain(member, 2)] == [b"reference"] * 2
        made = [new("k", "three", "signals"), new("k", "four", "deadletters"), of_acme("six", "signals")]
        step.step(made, member)
        for each in (step, member):
            each.close()
    with opened(granted["ledger"]) as log:
        wait_until(lambda: sum(log.committed("signals:set", "evidence").values()) == 1, "the group's position")
        assert sum(log.committed("signals:set", "evidence@acme").values()) == 1
        for topic in ("signals", "signals@acme"):
            wait_until(lambda: log.written(topic, decided=True) == log.written(topic), "the step's marks")  # noqa: B023
        found = of_kinds(log.topics, ("interactions", "feedback", "signals"))
        assert [len(everything(log, topic)) for topic in found] == [1, 0, 1, 1, 1, 1]
        log.append([new("s", "ticket", "erasures")]).result(60)
        assert log.topic_id("feedback")
    with opened(granted["rollouts"]) as log, opened(granted["policy"], appends=False) as follower:
        owner = KafkaOwner(log, "assist")
        owner.commit_step("arms/assist", owner.begin_epoch("arms/assist"), [new("assist", "table", "arms")], "", {})
        wait_until(lambda: len(everything(follower, "arms")) == 1, "the table")
        owner.close()


def test_a_tenants_own_reader_sees_its_topics_and_no_others(
    cluster: Cluster, granted: dict[str, KafkaSettings]
) -> None:
    """U19. What a deployment gives a tenant that wants its events: Read on one prefix."""
    of = granted["feedback"]
    theirs, prefixed = f"{of.prefix}.tenant.acme.", ACLResourcePatternType.PREFIXED
    with admin_of(cluster.address) as admin:
        grant(admin, [allow("observe", ResourceType.TOPIC, theirs, prefixed, ACLOperation.READ)])
    with opened(of) as log:
        log.append([of_acme("mine"), new("k", "others'")]).result(60)
        own, shared_one = (full_name(of.prefix, name) for name in ("feedback@acme", "feedback"))
    brokers = replace(of, user="observe")
    read = ForeignTopics(brokers, [own], {})
    reader = read.reader()
    assert b"mine" in {record.value for record in reader.read(own, 0, 0, 10)}
    reader.close()
    read.close()
    with pytest.raises(BadSettings, match="is not there, or may not be read"):
        ForeignTopics(brokers, [shared_one], {})


def test_what_was_not_granted_is_refused_as_not_allowed(granted: dict[str, KafkaSettings]) -> None:
    with opened(granted["feedback"]) as log:
        log.append([new("k", "one")]).result(60)
        for topic in ("feedback", "feedback@acme"):
            log.append([new("k", "one") if topic == "feedback" else of_acme("one")]).result(60)
            named = re.escape(full_name(granted["feedback"].prefix, topic))
            with pytest.raises(LogUnavailable, match=rf"do not allow it: reading \({named}\)"):
                everything(log, topic)
    with opened(granted["signals"], appends=False) as log:
        step = log.transaction("signals:set/0")
        with pytest.raises(LogUnavailable, match="do not allow it: taking a step"):
            step.step([new("k", "forged")])
        step.close()
    with opened(granted["policy"], appends=False) as log:
        with pytest.raises(FailedPrecondition, match="for reading only"):
            log.append([new("assist", "forged", "arms")]).result(60)
        with pytest.raises(LogUnavailable, match="do not allow it: taking a transactional id"):
            log.transaction("arms/assist")


def test_the_observer_needs_read_on_their_topics_and_on_its_group_and_nothing_else(
    cluster: Cluster, folder: Path, authority: Authority
) -> None:
    """As NOTES.md of observe says. A topic that was not granted is told as one that may not be read."""
    topics, group = [f"theirs-{folder.name}-{n}" for n in range(2)], f"group-{folder.name}"
    literal = ACLResourcePatternType.LITERAL
    with admin_of(cluster.address) as admin:
        admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
        admin.wait_for_topics(topics)
        granted = ((ResourceType.TOPIC, topics[0]), (ResourceType.GROUP, group))
        grant(admin, [allow("observe", kind, name, literal, ACLOperation.READ) for kind, name in granted])
    brokers = BrokersTheme(
        bootstrap=cluster.at("BOTH"),
        sasl="SCRAM-SHA-512",
        user="observe",
        password_file=password_file(folder, PASSWORD),
        tls=True,
        ca_file=authority.ca,
    )
    of = KafkaSettings(**brokers.model_dump())
    theirs = KafkaProducer(bootstrap_servers=cluster.address)
    theirs.send(topics[0], b"{}").get(60)
    theirs.close()
    read = ForeignTopics(of, topics[:1], {})
    member = read.join(group, "observe-0", Start("earliest"))
    try:
        (record,) = drain(member, 1)
        where = (record.topic, record.partition)
        assert (record.value, dict(member.ends())) == (b"{}", {where: 1})
        assert dict(member.offsets_at({where: 0.0})) == {where: 0}
        member.commit_at({where: Position(1, 5.0)})
        assert dict(member.committed()) == {where: Position(1, 5.0)}
        reader = read.reader()
        assert len(reader.read(topics[0], 0, 0, 10)) == 1
        reader.close()
    finally:
        member.close()
        read.close()
    with pytest.raises(BadSettings, match="is not there, or may not be read"):
        ForeignTopics(of, topics, {})


def test_where_no_broker_is_the_address_is_named() -> None:
    of = settings(f"127.0.0.1:{free_ports(1)[0]}", request_s=1.0)
    with pytest.raises(LogUnavailable, match=f"no broker answers at {of.bootstrap}"), opened(of):
        pass


def test_a_process_that_may_write_nothing_makes_no_producer(
    granted: dict[str, KafkaSettings], caplog: pytest.LogCaptureFixture
) -> None:
    """Brokers give a producer id to writers alone, so one would break as soon as it is made, again and again."""
    with opened(granted["feedback"]):
        pass
    with opened(granted["policy"]) as log:
        wait_until(lambda: caplog.text.count("producer replaced") >= 2, "the control: a producer that breaks")
        log.close()
    caplog.clear()
    with opened(granted["policy"], appends=False) as log:
        assert log._appender is None
        assert log.partitions("arms") == 3
        everything(log, "arms")
    assert "producer" not in caplog.text
