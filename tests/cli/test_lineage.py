"""cli/lineage: versions and data sets of a data folder in a trace; what a person scaled is told as such."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from rejoinder.cli.lineage import lineage
from rejoinder.cli.trace import SOURCES, _facts
from rejoinder.core.types import Candidate, Message, Preference, Provenance, Role
from rejoinder.ledger.reading import trace
from rejoinder.ledger.reading.trace import TraceNode
from rejoinder.registry import datasets
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.store import FolderStore


def a_pair(number: int, tenant: str = "default") -> Preference:
    made = Provenance("wildfeedback", "1", (f"answer-{number}", f"said-{number}"), (f"i-{number}",), evidence="e")
    texts = (Candidate("SECRET yes"), Candidate("SECRET no"))
    asked = (Message(Role.USER, "SECRET question"),)
    return Preference(f"p{number}", asked, texts, tenant=tenant, user_id=f"user-{number}", provenance=made)


def a_folder(data: Path, pairs: int = 2) -> str:
    """One learnt version of two rounds' pairs, and one that a person scaled. Answers the second set's digest."""
    found = [a_pair(i) for i in range(pairs)] + [a_pair(99, "another")]
    sets = ["000001/pairs-aaa", "000002/pairs-bbb"]
    made = [datasets.write(data / "rounds" / "assist" / place, "pairs", found, b"s", {}, {}, 0.0) for place in sets]
    artefacts = Artefacts(FolderStore(data / "registry"), data / "registry" / "artefacts")
    facts = {"window": "w-digest", "train": "t", "sets": sets}
    artefacts.publish(Version("assist", "assist-r0002", "digest-2", "base", "adapter", 2, "sets-digest", 5.0, facts))
    scaled = {"scaled_from": "assist-r0002", "scale": "-0.6", "override": "by hand"}
    artefacts.publish(Version("assist", "assist-push-style", "digest-p", "base", facts=scaled))
    return made[1].digest


def answer(version: str, policy: str = "assist") -> list[TraceNode]:
    facts = {"policy": policy, "version": version, "interaction": "i"}
    return [TraceNode("interaction", "e", facts=facts, sources=(version,)), TraceNode("version", version)]


def test_a_learnt_version_is_told_with_digest_round_data_set_and_the_events_of_its_pairs(tmp_path: Path) -> None:
    """U07: an earlier round's pairs are trained on again, so their set stands there too."""
    digest = a_folder(tmp_path)
    found = {(node.kind, node.id): node for node in lineage(tmp_path, "default", answer("assist-r0002"))}
    version = found["version", "assist-r0002"]
    assert version.digest == "digest-2"
    assert version.facts["round"] == "assist#2"
    assert version.facts["dataset_digest"] == "sets-digest"
    assert version.facts["window"] == "w-digest"
    assert version.sources == ("assist#1/pairs", "assist#2/pairs")
    made = found["dataset", "assist#2/pairs"]
    assert made.digest == digest
    assert made.sources == ("answer-0", "answer-1", "said-0", "said-1"), "the tenant's own"
    assert made.facts == {"pairs": "3", "redacted": "0", "events": "4"}
    assert "SECRET" not in str(found)
    assert "user-" not in str(found)


def test_a_pushed_version_names_what_it_was_scaled_from_and_its_own_digest(tmp_path: Path) -> None:
    a_folder(tmp_path)
    _, version = lineage(tmp_path, "default", answer("assist-push-style"))
    assert version.digest == "digest-p"
    assert (version.facts["scaled_from"], version.facts["scale"]) == ("assist-r0002", "-0.6")
    assert version.facts["override"] == "by hand"
    assert "round" not in version.facts


def test_after_an_erasure_the_set_says_how_many_rows_are_gone_and_names_none_of_their_events(tmp_path: Path) -> None:
    """F16."""
    a_folder(tmp_path)
    datasets.PairSets(tmp_path / "rounds").erase(lambda tenant, user, at, events: user == "user-0")
    made = lineage(tmp_path, "default", answer("assist-r0002"))[-1]
    assert (made.state, made.facts["redacted"]) == ("redacted", "1")
    assert made.sources == ("answer-1", "said-1")


def test_more_events_than_the_bound_are_counted(tmp_path: Path) -> None:
    a_folder(tmp_path, pairs=trace.MOST)
    made = lineage(tmp_path, "default", answer("assist-r0002"))[-1]
    assert len(made.sources) == trace.MOST
    assert made.facts["unlisted"] == str(trace.MOST)
    told = dict(_facts(made))
    assert told["from"].endswith(f"and {2 * trace.MOST - SOURCES} more")
    assert len(told["from"].split()) == SOURCES + 3


def test_what_the_folder_does_not_know_stays_as_the_ledger_said_it_and_nothing_is_written(tmp_path: Path) -> None:
    nodes = answer("assist-r0002")
    assert lineage(tmp_path / "none", "default", nodes) == nodes
    assert not (tmp_path / "none").exists()
    a_folder(tmp_path)
    assert lineage(tmp_path, "default", answer("unheard-of")) == answer("unheard-of")


def test_a_policy_that_somebody_else_logged_leads_out_of_no_folder(tmp_path: Path) -> None:
    a_folder(tmp_path / "inner" / "deep")
    nodes = answer("assist-r0002", policy="../../deep/registry/versions/assist")
    assert lineage(tmp_path / "inner" / "deep", "default", nodes) == nodes


def test_nodes_of_the_ledgers_client_are_taken_as_well(tmp_path: Path) -> None:
    from rejoinder.clients.ledger import TraceNode as Told

    a_folder(tmp_path)
    told = [Told(n.kind, n.id, n.digest, n.state, n.at, dict(n.facts), n.sources) for n in answer("assist-r0002")]
    assert lineage(tmp_path, "default", told) == lineage(tmp_path, "default", answer("assist-r0002"))


def test_a_person_reads_the_digest_first_and_then_what_it_came_from() -> None:
    node = SimpleNamespace(digest="d", facts={"rows": "2"}, sources=("a", "b"))
    assert list(_facts(node)) == [("digest", "d"), ("rows", "2"), ("from", "a b")]
