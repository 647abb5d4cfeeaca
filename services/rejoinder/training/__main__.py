"""The room's commands. `run` is the stage contract of STAGE.md; every figure goes to stdout as one JSON line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import RejoinderError
from rejoinder.core.modelfolder import KINDS


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m rejoinder.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _paths(commands.add_parser("run", help="train an adapter"), "manifest", "pairs", "base", "out")
    _paths(commands.add_parser("count", help="tokens that a run would learn from"), "manifest", "pairs", "base")
    likelihood = commands.add_parser("likelihood", help="log p of both responses of every pair")
    _paths(likelihood, "pairs", "base", "out")
    _paths(likelihood, "adapter", required=False)
    exporting = commands.add_parser("export-base", help="a model to the folder that a service loads")
    _paths(exporting, "out")
    exporting.add_argument("--base", required=True, help="a folder, or a name in the hub's local cache")
    exporting.add_argument("--revision", default="", help="of a hub name")
    exporting.add_argument("--kind", choices=KINDS, default="policy", help="what it is exported for")
    own = commands.add_parser("own", help="the export of a model, made once, in a folder named by its digest")
    _paths(own, "exports")
    own.add_argument("--model", required=True, help="a folder, or a name in the hub's local cache")
    own.add_argument("--revision", default="", help="of a hub name")
    own.add_argument("--kind", choices=KINDS, default="policy", help="what it is exported for")
    own.add_argument("--download", action="store_true", help="the hub may be asked")
    _paths(commands.add_parser("export-adapter", help="adapter to a file it can load"), "export", "adapter", "out")
    parity = commands.add_parser("parity", help="compare the export with torch")
    _paths(parity, "export", "base", "pairs")
    _paths(parity, "adapter", "onnx-adapter", required=False)
    commands.add_parser("warm", help="wait for commands on stdin, each run in a process forked from this one")
    options = vars(parser.parse_args(arguments))
    if options["command"] == "warm":
        from rejoinder.training.warm import serve

        return serve(main)
    try:
        print(json.dumps(_COMMANDS[options.pop("command")](**options), sort_keys=True), flush=True)
    except RejoinderError as error:
        print(json.dumps({"error": error.reason, "message": error.message}), file=sys.stderr)
        return 2
    return 0


def _paths(parser: argparse.ArgumentParser, *names: str, required: bool = True) -> None:
    for name in names:
        parser.add_argument(f"--{name}", type=Path, required=required)


def _run(manifest: Path, pairs: Path, base: Path, out: Path) -> dict[str, object]:
    import torch

    from rejoinder.training.stage import run

    # Where an operation has no deterministic kernel (some on CUDA), it warns instead of ending the run.
    torch.set_deterministic_debug_mode("warn")

    def emit(line: dict[str, float]) -> None:
        print(json.dumps(line), flush=True)

    return {"digest": run(manifest, pairs, base, out, clock=SystemClock(), emit=emit)}


def _count(manifest: Path, pairs: Path, base: Path) -> dict[str, object]:
    from rejoinder.training.stage import count

    return count(manifest, pairs, base)


def _likelihood(pairs: Path, base: Path, out: Path, adapter: Path | None) -> dict[str, object]:
    from rejoinder.training.likelihood import write_rows

    return write_rows(pairs, base, adapter, out)


def _export_base(base: str, out: Path, revision: str, kind: str) -> dict[str, object]:
    from rejoinder.training.hub import export, located

    return export(kind, located(base, revision), out)


def _own(model: str, revision: str, kind: str, download: bool, exports: Path) -> dict[str, object]:
    from rejoinder.training.hub import exported

    return exported(model, revision, download, exports, kind)


def _export_adapter(export: Path, adapter: Path, out: Path) -> dict[str, object]:
    from rejoinder.training.export import export_adapter

    return export_adapter(export, adapter, out)


def _parity(
    export: Path, base: Path, pairs: Path, adapter: Path | None, onnx_adapter: Path | None
) -> dict[str, object]:
    from rejoinder.training.parity import compare_on

    return compare_on(export, base, pairs, adapter, onnx_adapter)


_COMMANDS: Mapping[str, Callable[..., dict[str, object]]] = {
    "run": _run,
    "count": _count,
    "likelihood": _likelihood,
    "export-base": _export_base,
    "own": _own,
    "export-adapter": _export_adapter,
    "parity": _parity,
}

if __name__ == "__main__":
    # cuBLAS needs this before it starts to be deterministic; without a GPU it does nothing.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    sys.exit(main(sys.argv[1:]))
