"""`python -m rejoinder.training.heads fit --pairs FILE [FILE …] --out DIR` and `… export --out DIR`;
`… causal --source DIR --out DIR`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from rejoinder.core.answertext import AnswerBudget
from rejoinder.core.errors import RejoinderError
from rejoinder.training.heads import causal, fit, package, pairs
from rejoinder.training.heads.cache import States
from rejoinder.training.heads.model import RewardEncoder


def fit_command(arguments: argparse.Namespace) -> None:
    """Trains on all folds but one and weighs the parts on that one; prints what it saw as JSON lines."""
    started, params, budget = time.process_time(), fit.FitParams(epochs=arguments.epochs), AnswerBudget()
    base = package.base_folder()
    rows = pairs.tokenised(pairs.read(arguments.pairs), base / "tokenizer.json", budget)
    pref = np.array([row.pref for row in rows])
    held = np.array([pairs.fold_of(row.group, arguments.folds) == 0 for row in rows])
    learn, check = np.flatnonzero(~held), np.flatnonzero(held)
    torch.manual_seed(params.seed)
    model = RewardEncoder(package.base_weights(base))
    states = States(model.eval(), [row for pair in rows for row in (pair.a, pair.b)])

    def told(epoch: int, loss: float) -> None:
        margin = fit.margins(model, states, check.tolist())
        facts = {"epoch": epoch, "loss": loss, "held_out_accuracy": _accuracy(margin, pref[check])}
        print(json.dumps({**facts, "cpu_s": time.process_time() - started}), flush=True)

    fit.train(model, states, pref, list(learn), params, told)
    sep = package.separator(base)
    lexicon = fit.logistic(fit.presence([rows[i] for i in learn], sep), pref[learn], params.lexical_c)
    parts = fit.parts(fit.margins(model, states, check.tolist()), lexicon, [rows[i] for i in check], sep)
    weights = fit.logistic(parts, pref[check], 1.0)
    with torch.no_grad():
        model.lexicon.copy_(torch.tensor(lexicon))
        model.weights.copy_(torch.tensor(weights))
    package.save_small(arguments.out, model)
    alone = {name: _accuracy(parts[:, i], pref[check]) for i, name in enumerate(("encoder", "lexical", "length"))}
    facts = {"n": len(learn), "held_out": len(check), "weights": weights.tolist(), "alone": alone}
    facts["held_out_accuracy"] = _accuracy(parts @ weights, pref[check])
    print(json.dumps({**facts, "cpu_s": time.process_time() - started}), flush=True)


def _accuracy(margin: np.ndarray, pref: np.ndarray) -> float:
    judged = pref != 0.5
    return float(np.mean((margin[judged] > 0) == (pref[judged] > 0.5)))


def main(argv: list[str]) -> int:
    """The exit status: 2 for what the person can mend, said as a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m rejoinder.training.heads")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("fit", help="train the small files of the reward head")
    command.add_argument("--pairs", type=Path, nargs="+", required=True, help="JSON Lines of judged pairs")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--epochs", type=int, default=fit.FitParams.epochs)
    command.add_argument("--folds", type=int, default=5, help="one of these weighs the parts")
    command.set_defaults(run=fit_command)
    command = commands.add_parser("export", help="write the model folders bt-v1 and minilm")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--small", type=Path, default=package.small_folder(), help="what `fit` made")
    command.set_defaults(run=lambda arguments: package.export(arguments.out, arguments.small))
    command = commands.add_parser("causal", help="write the model folder of a causal reward model")
    command.add_argument("--source", type=Path, required=True, help="Hugging Face folder, …ForSequenceClassification")
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(run=lambda arguments: print(causal.export_causal(arguments.source, arguments.out)))
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except RejoinderError as error:
        print(json.dumps({"error": error.reason, "message": error.message}), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
