"""`python -m rejoinder.training.embedded build --out DIR --seed S` · `… probe --base DIR` · `… answers --base DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rejoinder.core.errors import RejoinderError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m rejoinder.training.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("build", help="the carried base, or one trained now, unless it stands there")
    making.add_argument("--out", type=Path, required=True)
    making.add_argument("--train", action="store_true", help="train it, whatever stands there or is carried")
    packing = commands.add_parser("pack", help="a built base in half precision, as the project carries it")
    packing.add_argument("--base", type=Path, required=True)
    packing.add_argument("--out", type=Path, required=True)
    probing = commands.add_parser("probe", help="measure what a base can express")
    probing.add_argument("--base", type=Path, required=True)
    showing = commands.add_parser("answers", help="sampled answers with the style each has, as JSON")
    showing.add_argument("--base", type=Path, required=True)
    showing.add_argument("--count", type=int, default=256)
    for command in (making, packing, probing, showing):
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)

    import torch

    from rejoinder.training.embedded import base, build

    torch.set_num_threads(options.threads)
    try:
        if options.command == "build":
            make = build.build if options.train else build.provide
            note = make(options.out, options.seed, base.BaseParams())
            print(json.dumps(note, sort_keys=True))
            print((options.out / "probe.json").read_text(encoding="utf-8"))
            return 0
        if options.command == "pack":
            build.pack(options.base, options.out)
            return 0
        if options.command == "answers":
            rows = build.answers(*build.load(options.base), options.seed, options.count)
            print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
            return 0
        seen = build.measure(*build.load(options.base), options.seed)
        print(seen.as_json())
        return 0 if seen.meets() else 1
    except RejoinderError as error:
        print(json.dumps({"error": error.reason, "message": error.message}), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
