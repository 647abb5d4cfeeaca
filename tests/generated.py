"""Fails when a generated file differs from what its source makes, or a test does not mirror the tree."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Top folders under tests/ that mirror no room.
RINGS = {"contracts", "system", "chaos", "data", "miniatures", "hostile", "cluster"}
#: Suites over a whole folder: every row, equality with another library, somebody else's program, shipped weights.
WHOLE = {"contract", "parity", "external", "shipped"}


def stubs_differ() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        protos = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "protos").rglob("*.proto"))
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", *outputs, *protos], cwd=ROOT, check=True)
        made = Path(folder) / "rejoinder" / "v1"
        kept = ROOT / "services" / "rejoinder" / "v1"
        names = {path.name for path in made.iterdir()} | {path.name for path in kept.glob("*_pb2*")}
        return [
            f"services/rejoinder/v1/{name}: differs from its proto, run `make gen`"
            for name in sorted(names)
            if not (made / name).exists()
            or not (kept / name).exists()
            or (made / name).read_bytes() != (kept / name).read_bytes()
        ]


def tests_that_mirror_nothing() -> list[str]:
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        parts = path.relative_to(ROOT / "tests").parts
        if parts[0] in RINGS:
            continue
        inside = parts[0] == "operator"
        root = ROOT / "operators" / "rejoinder_operator" if inside else ROOT / "services" / "rejoinder"
        source = root / Path(*parts[1 if inside else 0 : -1])
        stem = parts[-1].removeprefix("test_").removesuffix(".py")
        known = {p.stem for p in source.glob("*.py")} | {p.name for p in source.glob("*") if p.is_dir()}
        if not any(stem == name or stem.startswith(f"{name}_") for name in known | WHOLE):
            found.append(f"tests/{'/'.join(parts)}: no {source.relative_to(ROOT)}/{stem}.py")
    return found


def methods_differ() -> list[str]:
    """METHODS.md against the tables, in a process of its own: it imports every room."""
    made = subprocess.run([sys.executable, "tests/methods.py"], cwd=ROOT, check=True, capture_output=True, text=True)
    kept = ROOT / "METHODS.md"
    same = kept.exists() and kept.read_text("utf-8") == made.stdout
    return [] if same else ["METHODS.md: differs from the tables, run `make gen`"]


def main() -> int:
    problems = [*stubs_differ(), *tests_that_mirror_nothing(), *methods_differ()]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
