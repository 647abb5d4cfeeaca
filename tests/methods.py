"""Writes METHODS.md from the tables: which research system stands where, what it claims, and what is not shown yet.

`python tests/methods.py` prints it; `make gen` writes it; `make check` compares. A row is *shown* only when it has its
miniature and the control that must fail; what has code and tests of its parts alone is listed as such.
"""

# A table of prose: its lines are as long as they are.
# ruff: noqa: E501

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
#: What the miniatures measured, written by `python -m tests.miniatures.measure --write`.
FIGURES = ROOT / "tests" / "miniatures" / "figures.json"

#: Table attribute by module.
TABLES = (
    ("rejoinder.signals.extractors", "EXTRACTORS"),
    ("rejoinder.rounds.pairs", "BUILDERS"),
    ("rejoinder.rounds.pairs.summarise", "SUMMARISERS"),
    ("rejoinder.training.objectives", "OBJECTIVES"),
    ("rejoinder.reward.heads", "HEADS"),
    ("rejoinder.rerank.rankers", "RANKERS"),
    ("rejoinder.evaluate.measures", "MEASURES"),
    ("rejoinder.evaluate.factors", "FACTORS"),
    ("rejoinder.evaluate.stances", "READERS"),
    ("rejoinder.observe.formats", "FORMATS"),
)

#: Research systems of the spine, and studies beside it: what there is of each, and what there is not.
# fmt: off
SPINE = (
    ("15", "WildFeedback", "2408.15549", "signals, rounds", "signals with reasons and spans; pairs by regeneration under the wish or by revision, leak guard with planted leaks", "the thresholds set for pair labels and for the control of the rounds (see its miniatures); user-guided checklist evaluation"),
    ("103", "RLHF Workflow (online iterative DPO)", "2405.07863", "rounds", "best and worst of n under the reward service; rounds that resume and are gated", "the comparison with offline DPO through the real services; eight seeds do not separate the two"),
    ("40", "rDPO", "2403.00409", "training", "the loss, equal to TRL's `robust`; unbiased under flips by algebra", "a flip rate estimated rather than known; with beta chosen on the hidden reward plain DPO closes as much of the gap"),
    ("77", "LN-DPO", "2407.15229", "training", "the loss, equal to TRL's `sigmoid_norm`; coincides with DPO at equal lengths", "the miniature on a transformer; saved at its longest setting 0.145 [0.085, 0.204], which does not clear the tenth, and at its shortest it ends as early as it can"),
    ("28", "DOVE", "2404.00530", "training", "the loss over prompts and responses, equal to DPO's over one prompt; pairs of two prompts from the pairs file", "not shown: claimed is more reward from 300 joint pairs beside 300 conditional ones than from the latter alone, and none where joint labels are a coin's; found is more value less KL, but a coin's labels pass too (a true label is worth more than a coin's). After figures were seen, features went from 64 to 32, the norm of tastes from 2 to .7, and reward became reward less KL. A builder that makes joint pairs from a window"),
    ("54", "Logic of direct preference alignment", "2412.17696", "evaluate", "formula to loss and back, relations between two losses; the cores of the objectives below", "length normalisation, margins and targets are modifiers outside it"),
    ("97", "TPO", "2410.12854", "training, rounds", "the list loss with LambdaRank's weights; lists by the `ranked` builder", "the tree of thoughts; the adaptive weight of a step, which needs hidden states"),
    ("100", "Preferred-MedLLM / RPO", "2504.18080", "training", "the loss, equal to the sum of TRL's `sigmoid` and `sft`", "not shown: claimed are four points more when asked to explain, a cost of explaining of two points at most, and chosen answers that grow likelier; the second does not clear its floor, though after figures were seen the others' lead went from 1 to .8 and the noise from .5 to .4. Continued pretraining"),
    ("106", "PRefLexOR", "2410.12375", "training", "ORPO (first phase) and EXO (second), equal to TRL's; thinking tokens left out by marks", "not shown: claimed are three points of accuracy and no fewer good thoughts where thoughts are left out of the comparison; found is the contrary, also after the pairs went from 60 to 300. The first phase's miniature, `orpo.py`, is half of the row: its claims are ours and hold at a weight of 1 (paper: .1). Questions made from a corpus; recursive inference"),
    ("108", "VPO", "2405.19320", "training", "the offline loss; equal to TRL's `sigmoid` at alpha 0", "not shown: claimed is a narrower spread than DPO's at a mean not lower by two points; DPO at its best rate spreads as little. Once it was trained out at VPO's rate so that the claim held: turned back, and shown beside the claim. The online loss, which needs samples of the reference"),
    ("102", "ADPA and DCKD", "2502.17927", "training", "both losses, the divergence equal to TRL's (GKD at KL(teacher to student)), the advantage's slope to the policy gradient on a bandit; a teacher as a base and an adapter, its fifty likeliest tokens and the rest stored with the run's key", "not shown: claimed are more hidden reward of DCKD than of the student's DPO, 0.228 [0.172, 0.283], which holds, and more of DCKD then ADPA than of DCKD alone, which does not: -0.057 [-0.075, -0.040], each arm at its best weight and rate. There an answer is one token, so that the student's samples are no states of their own and distillation on the chosen answer alone is DCKD. On seeds 1000 to 1007, before others were looked at, the student went from half of the features to all among 48 that mean nothing: with half, its DPO learns all there is. A recipe that trains the teacher first and samples anew as the student moves; the sequence's importance weight; the teacher's memory in the estimate"),
    ("127", "NextQuill", "2506.02368", "training, rounds", "the two terms of the released trainer, equal to cross-entropy where both are off; a second pass of the policy over prompts without the user's history, which the pairs file marks: recipe `personal`", "not shown: claimed are users' own tokens right more often than after SFT by two points and common ones less often by one at most, both at each arm's best rate; found are 0.033 [0.012, 0.054] and -0.010 [-0.014, -0.007]; the third, that the weights find users' own tokens, holds, but as many weights on tokens that were drawn, of those likelier than the threshold, are worth 0.046 [0.030, 0.062] by themselves, the true ones 0.070 [0.053, 0.087], 0.024 [0.012, 0.036] more (without the other term, which costs users' own tokens here). The noise of common tokens (none, .05, .1, .2, .4), the network's width and the number of writers were chosen on seeds 1000 to 1007, where the pass without a history also lost its gradient: with it, as in the released trainer, the weights find less (area .789 [.775, .802] for .901), though users' own tokens are right as often (0.858 for 0.847). A profile store as the source of histories; the warm-up of the weights is a round of SFT to continue from"),
    ("KTO", "KTO", "2402.01306", "training", "the loss, equal to TRL's given its divergence; answers judged each by itself from the pairs file, or the two sides of a pair", "shown is that answers judged alone teach nearly what comparisons do, on seeds 2000 to 2019, looked at once; not shown is the same of one good answer in ten bad ones under the paper's weights, which missed on seeds 0 to 19 (it clears its floor on 2000 to 2019: .167 [.090, .244]). Once it was turned to equal weights, which pass with shuffled judgements too: turned back. A builder that makes judged answers without a counterpart from a window"),
    ("11", "Preference learning does not learn rankings", "2405.19534", "evaluate", "ranking accuracy summed, per token, length-matched, by difficulty; the idealised one; before, SFT, objective, shuffled on real pairs", "the alignment gap on real pairs with several votes"),
    ("18", "Unpacking DPO and PPO", "2406.09279", "rounds, evaluate", "four parts of a recipe swapped one at a time by YAML overlays whose fields have one owner each; same start, same tokens, same measured pairs; cells known by a digest and reused; main effects with intervals by user beside what a cell cost: `rejoinder round ablate`", "PPO: what samples under a reward is the builder `best_worst`, in the miniature, too, a choice of data and not of algorithm in the product. Length and wins of generated answers; the processor time of services that sample (answers, tokens and scores are counted). In the miniature the world was built on seeds 1000 to 1007 so that every part matters and data most, before seeds 0 to 19 were looked at"),
    ("8", "PROFILE factor-level preferences", "2410.06965", "evaluate", "ten factors that a rule computes; tau-b of people, a policy's likelihood and a reward head on the same pairs; gaps with joint intervals: `rejoinder evaluate factors`", "the claim on false alarms, at most 5 % of reports, missed on seeds 0 to 19, where the gaps' intervals were a bootstrap in one standard error for all draws (5 of 200 alarmed, nominal 1 %; 2.3 % of 1,200 on seeds 1000 to 1019, with as many draws as the product's). They are Studentised under random signs of the users now, chosen on seeds 1000 to 1019 (1.3 % of 4,000); the kept figures are of seeds 3000 to 3019, looked at once (3 of 200). Factors that need a reader (fluency, hallucination, helpfulness); what a policy prefers to write, as against to read; a gap cannot tell another taste from more noise. The planted gap on lists went from .8 to 1.2, on seeds 1000 to 1007, before seeds 0 to 19 were looked at"),
    ("118", "Beyond preferences in AI alignment", "2408.16984", "core, rounds, evaluate, rollouts", "a versioned charter of norms with owners and approvals; rules in linear time; pairs that break one are dropped by name, a version that breaks it more often fails the gate's `norms`, a canary the veto `norms`; its digest in round and verdict", "norms that a classifier or a judge must read; refusing at serving time; conflicts of users' satisfaction with a norm are counted by norm, not listed. The paper has no algorithm and no figures: the claims are ours"),
    ("93", "Value drifts", "2510.26707", "evaluate, rounds", "stances of sampled answers on a team's topics, checkpoint by checkpoint: moves with joint intervals, drift time, alarms: `rejoinder evaluate drift`; the gate's `drift` lets none move on guarded topics. Stances are read by the team's own patterns or by any OpenAI-compatible server; what neither tells is unread, and counted", "no reader of our own: how well patterns or a server read is measured by nobody here. The paper's order of objectives, which hangs on beta: with a planted gap, at one beta (.3), SimPO without its margin moves furthest (.80), then ORPO (.77), RL against a learnt reward (.75) and DPO (.74); the paper has RL about 0, SimPO .15, DPO .46 to .53. Pairs of one stance hardly move it by the world's making, and at a beta of .1 they do: .08. The gate compares with stable, so that moves of many rounds may add up. An answer's noise features went from 12 to 6 and pairs from 900 to 1800, on seeds 1000 to 1007, before seeds 0 to 19 were looked at"),
    ("88", "Judging bias in reasoning models", "2504.09946", "evaluate", "bandwagon, authority, position, distraction, reflection on a head or a server that is asked; robustness, bias, McNemar; both orders averaged: `rejoinder evaluate probes`", "the paper's mitigations by prompt, by examples and by a second pass; a judge that is a reasoning model; a gate's threshold per bias. What is taught and what it is tested on are other answers with the same words of a probe. The mitigation's added pairs went from all to those that carry words, on seed 1000, before seeds 0 to 19 were looked at"),
)
# fmt: on


def miniatures(figures: dict[str, Any]) -> list[str]:
    """One line a claim: the row's own figure with its interval, what it had to exceed, and the sabotaged control's."""
    lines = [
        "| row | miniature | claim | ours | to exceed | control | command |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in figures.items():
        for claim, control in zip(found["claims"], found["control"], strict=True):
            lines.append(
                f"| {found['row']} | `tests/miniatures/{found['file']}` | {claim['claim']} | {_figure(claim)} | "
                f"{claim['floor']:g} | {_figure(control)} | `python -m tests.miniatures.measure {name}` |"
            )
    return lines


def logic() -> list[str]:
    """What the objectives are made of, and how the cores stand to one another (row 54)."""
    from rejoinder.evaluate.preference_logic import CORES, MADE_OF, relate

    lines = ["", "## Relations between preference losses", ""]
    lines += [
        "A core entails another where its loss is nowhere below the other's; computed from formulas (row 54).",
        "",
    ]
    lines += ["| core | entails | objectives |", "| --- | --- | --- |"]
    for name, core in CORES.items():
        below = [other for other in CORES if relate(core, CORES[other]) == "entails"]
        rows = [f"`{row}`{f' ({how})' if how else ''}" for row, (made_of, how) in MADE_OF.items() if made_of == name]
        lines.append(f"| {name} | {', '.join(below) or '-'} | {', '.join(rows) or '-'} |")
    return lines


def _figure(claim: dict[str, Any]) -> str:
    return f"{claim['mean']:.3f} [{claim['low']:.3f}, {claim['high']:.3f}]{'' if claim['holds'] else ' ✗'}"


def is_shown(row: str, figures: dict[str, Any]) -> str:
    """Whether every miniature of a research system passes and rejects its control."""
    found = [f["shown"] for f in figures.values() if f["row"] == row]
    return "yes" if found and all(found) else "no"


def methods() -> str:
    figures = json.loads(FIGURES.read_text("utf-8"))
    lines = [
        "# Methods",
        "",
        "Made by `python tests/methods.py` from the tables in the code; edit those, then `make gen`.",
        "A method is *shown* when its claim in miniature passes and a sabotaged control fails.",
        "",
        "## Research systems",
        "",
        "| row | system | paper | room | shown | built and tested | not shown or not built |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row} | {name} | {paper} | {room} | {is_shown(row, figures)} | {have} | {lack} |"
        for row, name, paper, room, have, lack in SPINE
    ]
    lines += [
        "",
        "## Miniatures",
        "",
        "Mean and 95 % interval over twenty paired seeds (eight for the rounds of row 15); ✗: does not clear its floor.",
        "A row is shown when every claim holds and some claim of its control does not. `tests/miniatures/README.md` says how.",
        "",
        *miniatures(figures),
    ]
    lines += logic()
    for module, attribute in TABLES:
        table = getattr(__import__(module, fromlist=[attribute]), attribute)
        lines += ["", f"## Table: {table.kind}", "", "| row | file | paper | claim |", "| --- | --- | --- | --- |"]
        for row in table.values():
            file = Path(inspect.getsourcefile(inspect.unwrap(row.make)) or "").relative_to(ROOT)
            lines.append(f"| `{row.name}` | `{file}` | {row.paper or 'ours'} | {row.claim} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    if sys.argv[1:] == ["--write"]:
        (ROOT / "METHODS.md").write_text(methods(), "utf-8")
    else:
        print(methods(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
