"""What lies beside a ledger and belongs to its trace: of a version its manifest, and the pairs it was trained on.

The ledger knows what was said on the log. Which artefact a version is, from which other one a person scaled it, and
which events became pairs stands in the registry and the pair sets of the data folder. No word of anybody's is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rejoinder.core.errors import NotFound
from rejoinder.ledger.reading.trace import TraceNode, first
from rejoinder.registry import datasets
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.store import FolderStore

#: Facts of a manifest that say where a version came from. What was measured of it stands in its round's report.
TOLD = ("window", "scaled_from", "scale", "override")
#: What a policy may be called: it becomes a path, and answers that others logged may name any.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def lineage(data: Path, tenant: str, nodes: Sequence[Any]) -> list[TraceNode]:
    """A trace's nodes, each version with what its manifest in this folder says, and the data sets it was trained on.

    nodes: of `ledger.trace` or of the ledger's client, asked for this tenant, of whose events alone ids are told. Where
    the folder has no such manifest they stay as they are.
    """
    # Read and nothing else: the ledger may be another machine's, and the folder not be there.
    artefacts = Artefacts(FolderStore(data / "registry"), data / "registry" / "artefacts")
    policies = {policy for node in nodes if _NAME.fullmatch(policy := _policy(node))}
    found: dict[tuple[str, str], TraceNode] = {}
    for node in (TraceNode(**{**asdict(node), "sources": tuple(node.sources)}) for node in nodes):
        manifest = _manifest(artefacts, policies, node.id) if node.kind == "version" else None
        for one in [node] if manifest is None else _version(data, tenant, node, manifest):
            found.setdefault((one.kind, one.id), one)
    return list(found.values())


def _policy(node: Any) -> str:
    """Of which policy a node speaks: an answer says it, a round and a window bear it in their names."""
    if node.kind == "round":
        return node.id.partition("#")[0]
    return node.facts.get("policy", "") if node.kind in ("interaction", "window") else ""


def _manifest(artefacts: Artefacts, policies: set[str], name: str) -> Version | None:
    for policy in sorted(policies):
        try:
            return artefacts.version(policy, name)
        except NotFound:
            continue
    return None


def _version(data: Path, tenant: str, node: TraceNode, manifest: Version) -> Iterator[TraceNode]:
    """The version's node, then one for each data set that it was trained on."""
    facts = dict(node.facts)
    if manifest.base_digest:
        facts["base_digest"] = manifest.base_digest
    if manifest.round:
        facts |= {"round": f"{manifest.policy}#{manifest.round}", "dataset_digest": manifest.dataset_digest}
    facts |= {name: str(manifest.facts[name]) for name in TOLD if name in manifest.facts}
    sets = list(_sets(data, tenant, manifest))
    made_from = tuple(dict.fromkeys([*node.sources, *(one.id for one in sets)]))
    yield TraceNode(node.kind, node.id, manifest.digest, node.state, manifest.made_at or node.at, facts, made_from)
    yield from sets


def _sets(data: Path, tenant: str, manifest: Version) -> Iterator[TraceNode]:
    """Each set of pairs by its round, with the events that its pairs were made of; rows that were erased name none."""
    for place in manifest.facts.get("sets", ()):
        folder = data / "rounds" / manifest.policy / place
        try:
            made, pairs = datasets.read_manifest(folder), list(datasets.read(folder))
        except NotFound:
            continue
        mine = [pair for pair in pairs if pair.tenant == tenant]
        events = sorted({event for pair in mine for event in pair.provenance.event_ids})
        listed, unlisted = first(events, len(events))
        facts = {"pairs": str(made.rows), "redacted": str(made.rows - len(pairs)), "events": str(len(events))}
        name = f"{manifest.policy}#{int(folder.parent.name)}/{made.name}"
        state = "redacted" if made.rows > len(pairs) else "stored"
        yield TraceNode("dataset", name, made.digest, state, None, facts | unlisted, listed)
