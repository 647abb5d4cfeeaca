"""The first version of a policy: an exported base becomes stable, once."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from pathlib import Path

from rejoinder.core.errors import ClaimTaken, FailedPrecondition, NotFound, RejoinderError
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.served import ServedPointer, advance, current
from rejoinder.registry.store import Store, open_store

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


def main(argv: list[str] | None = None) -> int:
    """What a deployment runs before a policy process starts; status 2 for what a person must mend."""
    parser = argparse.ArgumentParser(prog="python -m rejoinder.registry.bootstrap", description=main.__doc__)
    parser.add_argument("--registry", required=True, help="folder or fsspec address of the registry")
    parser.add_argument("--artefacts", type=Path, help="local folder of artefacts; by default inside the registry")
    parser.add_argument("--policy", default="assist", help="the line of versions")
    parser.add_argument("--folder", type=Path, required=True, help="an exported base")
    parser.add_argument("--version", default="assist-base", help="what the first version is called")
    given = parser.parse_args(argv)
    try:
        store = open_store(given.registry)
        artefacts = Artefacts(store, given.artefacts or Path(given.registry) / "artefacts")
        try:
            pointer = current(store, given.policy)
        except NotFound:
            pointer = bootstrap(store, artefacts, given.policy, given.folder, given.version, time.time())
    except RejoinderError as error:
        print(f"rejoinder bootstrap: {error.message} [{error.reason}]", file=sys.stderr)
        return 2
    print(f"{given.policy}: {pointer.version}, generation {pointer.generation}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
