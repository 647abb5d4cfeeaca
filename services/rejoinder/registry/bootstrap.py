"""The first version of a policy: an exported base becomes stable, once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rejoinder.core.errors import ClaimTaken, FailedPrecondition, NotFound
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.served import ServedPointer, advance, current
from rejoinder.registry.store import Store

BASE = "base"


def bootstrap(
    store: Store,
    artefacts: Artefacts,
    policy: str,
    export_folder: Path,
    version_name: str = "assist-base",
    now: float = 0.0,
) -> ServedPointer:
    """Publishes an export (`python -m rejoinder.training export-base`) and points to it where nothing is served yet.

    now: seconds since the epoch, 0 where nobody says. May be repeated, also by several at once: returns the pointer
    in force, which rounds may have moved on since.
    Raises NotFound for a folder that is no export, FailedPrecondition when the name stands for another base.
    """
    if not (export_folder / "genai_config.json").is_file():
        raise NotFound("the folder holds no exported generation model", folder=export_folder.name)
    digest = artefacts.put(export_folder)
    try:
        artefacts.publish(Version(policy, version_name, digest, kind=BASE, made_at=now))
    except ClaimTaken:
        if artefacts.version(policy, version_name).digest != digest:
            raise FailedPrecondition(
                "the version's name stands for another base; a name is never reused", version=version_name
            ) from None
    with suppress(NotFound):
        return current(store, policy)
    # Lost to another bootstrap, or won: either way a pointer stands now.
    with suppress(ClaimTaken):
        advance(store, ServedPointer(policy, 1, version_name, digest, decided_by="bootstrap", at=now))
    return current(store, policy)
