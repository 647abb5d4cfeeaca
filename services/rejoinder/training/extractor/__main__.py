"""The signal encoder at the command line.

    python -m rejoinder.training.extractor export --out DIR [--int8]
    python -m rejoinder.training.extractor train --rated FILE --out DIR [--steps N --folds 5 --start FILE]

`train` holds one fold of the groups out, learns from the others, and writes updates.safetensors and held_out.jsonl:
the logits of what it did not see, from which `rejoinder.signals.calibration` makes calibration.json. --rated takes
files in the evaluation format with levels, any number of them.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from rejoinder.core.modelfolder import FACTS
from rejoinder.training.extractor.export import SHIPPED, export, pretrained_folder
from rejoinder.training.extractor.fit import Encoder, Params, Sources, fit, load_pretrained, predict
from rejoinder.training.extractor.model import SignalEncoder
from rejoinder.training.extractor.rating import fit_rating
from rejoinder.training.extractor.text import Turn, answers_of, compose, labelled, read_turns, written

COMPOSED = 1500  # composed turns that stand for the use of an assistant where chats are told from it


def poles(shipped: Path = SHIPPED) -> dict[str, str]:
    """Reason → SAT or DSAT, in the order of the rubric head."""
    return dict(json.loads((shipped / FACTS).read_text(encoding="utf-8"))["rubric"])


def encoder_of(base: Path, reasons: Sequence[str]) -> Encoder:
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Encoder(tokenizer, reasons)


def save_small(model: SignalEncoder, path: Path) -> None:
    """What training changed, in half precision: the update of a merged weight is far coarser than its rounding."""
    save_file({name: p.detach().half().contiguous() for name, p in model.small_state().items()}, str(path))


def split(turns: Sequence[Turn], fold: int, folds: int, seed: int) -> tuple[list[Turn], list[Turn]]:
    """(seen, held out); a group lies on one side."""
    groups = sorted({turn.group for turn in turns})
    random.Random(seed).shuffle(groups)
    out = {group for i, group in enumerate(groups) if i % folds == fold}
    return [t for t in turns if t.group not in out], [t for t in turns if t.group in out]


def train(rated: Sequence[Turn], params: Params, base: Path, folds: int, out: Path, start: Path | None) -> None:
    """Writes updates.safetensors, and held_out.jsonl with the logits of the fold that training did not see."""
    reasons = poles()
    encoder, model = encoder_of(base, list(reasons)), load_pretrained(base, len(reasons), params.rank, start)
    seen, rest = split(rated, 0, folds, params.seed)
    read, unread = split(labelled(), 0, folds, params.seed)
    own = written()
    if params.steps:
        fit(model, encoder, Sources(seen, read, own, reasons), params, lambda line: print(line, flush=True))
    rng, answers = random.Random(params.seed), answers_of([*read, *own.wholes])
    composed = [compose(own, reasons, answers, rng) for _ in range(COMPOSED)]
    fit_rating(model, encoder, seen, [*read, *composed])
    save_small(model, out / "updates.safetensors")
    with (out / "held_out.jsonl").open("w", encoding="utf-8") as lines:
        for turn, logits in zip(rest + unread, predict(model, encoder, rest + unread), strict=True):
            known = {"judged": turn.judged, "label": turn.label, "level": turn.level, "names": list(reasons)}
            spoken = {"set": "labelled" if turn.judged else "rated", "reasons": [r for r, _, _ in turn.spans]}
            lines.write(json.dumps({**known, **spoken, "group": turn.group, **logits}) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="rejoinder.training.extractor", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("export", "train"))
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--int8", action="store_true", help="export: quantise the matrix products")
    parser.add_argument("--rated", type=Path, action="append", default=[], help="rated chats, evaluation format")
    parser.add_argument("--steps", type=int, default=Params.steps)
    parser.add_argument("--folds", type=int, default=5, help="train: one of so many is held out")
    parser.add_argument("--start", type=Path, help="train: go on from these updates.safetensors")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    base = pretrained_folder()
    if given.command == "export":
        print(export(given.out, int8=given.int8, base=base))
        return
    rated = [turn for path in given.rated for turn in read_turns(path, judged=False)]
    params = Params(steps=given.steps)
    given.out.mkdir(parents=True, exist_ok=True)
    train(rated, params, base, given.folds, given.out, given.start)
    (given.out / "training.json").write_text(json.dumps(asdict(params), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
