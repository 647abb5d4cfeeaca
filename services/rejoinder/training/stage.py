"""The stage: manifest, pairs and base in; a published adapter out. The contract stands in STAGE.md."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadFile, BadSettings, DataLoss, FailedPrecondition
from rejoinder.core.ids import digest_of
from rejoinder.core.table import Row
from rejoinder.training import memory, probe
from rejoinder.training.adapters import add_reference, continued, fresh, load_base, save_adapter
from rejoinder.training.examples import Example, encode
from rejoinder.training.feeds import LIST, PAIR
from rejoinder.training.logps import refuse_unless_packable
from rejoinder.training.loop import Resume, steps, train
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.pack import batches
from rejoinder.training.pairs import read_pairs
from rejoinder.training.parallel import Team, at_a_time, joined
from rejoinder.training.publish import already_published, file_digest, publish, sole_writer, tree_digest
from rejoinder.training.settings import TrainSettings
from rejoinder.training.teacher import asked
from rejoinder.training.turns import end_of_turn

CONTRACT = "train/v1"
Emit = Callable[[dict[str, float]], None]


def run(manifest_path: Path, pairs_path: Path, base: Path, out: Path, *, clock: Clock, emit: Emit) -> str:
    """Trains and publishes; returns the digest of what stands in `out`. Run again, it resumes or finds it done."""
    manifest = _read_manifest(manifest_path)
    settings = TrainSettings.from_mapping(manifest.get("train", {}))
    row = OBJECTIVES.resolve(settings.objective)
    row.with_params(settings.params)
    if settings.anchor == "fall" and settings.anchor_weight and "reference" not in row.traits["needs"]:
        raise BadSettings(f"{settings.objective} has no reference that its anchor could hold to", field="anchor")
    adapters = _adapters(manifest, manifest_path.parent, settings)
    teacher = _teacher(row, manifest_path.parent, settings)
    inputs = _inputs(manifest, pairs_path, base, adapters, teacher)
    key = digest_of({"contract": CONTRACT, "inputs": inputs, "settings": settings.as_plain()})
    if out.is_dir() and any(out.iterdir()):
        return already_published(out, key)
    device = torch.device(_device(settings.device))
    work = out.with_name(out.name + ".work")
    with joined(dict(os.environ), device) as team:
        if team.rank:
            _train(base, adapters, teacher, pairs_path, settings, row, team, work, key, clock, emit=lambda line: None)
            return ""
        with sole_writer(work):
            model, report = _train(
                base, adapters, teacher, pairs_path, settings, row, team, work, key, clock, emit=emit
            )
            draft = work / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            save_adapter(model, draft / "adapter", base_name=f"sha256:{inputs['base']}")
            lines = report.pop("lines")
            (draft / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            facts = {"contract": CONTRACT, "key": key, "inputs": inputs, "settings": settings.as_plain(), **report}
            (draft / "metrics.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
            digest = publish(draft, out, key)
        shutil.rmtree(work)
        return digest


def count(manifest_path: Path, pairs_path: Path, base: Path) -> dict[str, Any]:
    """What a run of these would learn from, without running it: pairs, drops by cause, tokens over all its steps.

    Raises FailedPrecondition where it would learn from nothing.
    """
    from transformers import AutoTokenizer

    settings = TrainSettings.from_mapping(_read_manifest(manifest_path).get("train", {}))
    row = OBJECTIVES.resolve(settings.objective)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    feed = row.traits.get("feed", PAIR)
    examples, dropped = encode(list(read_pairs(pairs_path)), tokenizer, settings.max_tokens, feed, settings.thoughts)
    if not examples:
        raise FailedPrecondition(f"no pair can be learnt from; dropped: {dict(dropped)}", field="pairs")
    return {"pairs": len(examples), "dropped": dict(dropped), "tokens": learnt_tokens(examples, settings)}


def learnt_tokens(examples: list[Example], settings: TrainSettings) -> int:
    """Tokens of the packed rows of all steps, those of a pair as often as it is passed over."""
    tokens = [e.tokens for e in examples]
    return sum(tokens[i] for step in steps(tokens, settings) for i in step)


def _train(
    base: Path,
    adapters: dict[str, Path],
    teacher: dict[str, Path],
    pairs_path: Path,
    settings: TrainSettings,
    row: Row,
    team: Team,
    work: Path,
    key: str,
    clock: Clock,
    *,
    emit: Emit,
) -> tuple[Any, dict[str, Any]]:
    """The trained model and its report: counts, memory, probes before and after, the steps' lines."""
    from transformers import AutoTokenizer

    started, worked = clock.monotonic(), time.process_time()
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    feed = row.traits.get("feed", PAIR)
    pairs = list(read_pairs(pairs_path))
    examples, dropped = encode(pairs, tokenizer, settings.max_tokens, feed, settings.thoughts)
    if not examples:
        raise FailedPrecondition(f"no pair can be learnt from; dropped: {dict(dropped)}", field="pairs")
    if feed == LIST and all(len(e.responses) < 3 for e in examples):
        raise FailedPrecondition(
            f"{settings.objective} learns from lists of answers; these {len(examples)} are pairs", field="objective"
        )
    device = torch.device(_device(settings.device))
    store = work / "teacher.safetensors"
    taught = asked(teacher, tokenizer, examples, settings, team, device, store, key) if teacher else None
    frozen = load_base(base, settings.dtype, device)
    if settings.init == "original":
        model = fresh(frozen, settings.lora, settings.seed)
    else:
        model = continued(frozen, adapters[settings.init], settings.lora)
    if settings.reference != "original":
        add_reference(model, adapters[settings.reference])
    needed = _refuse_what_cannot_run(model, examples, settings, len(tokenizer), device)

    handful, end = examples[: settings.probe_pairs], end_of_turn(tokenizer)
    theirs = probe.original_answers(model, handful, end, settings.probe_tokens, settings.seed)

    def probed() -> dict[str, float]:
        return probe.measure(
            model,
            handful,
            end,
            theirs=theirs,
            tokens=settings.probe_tokens,
            tokens_per_batch=settings.tokens_per_batch,
            seed=settings.seed,
        )

    before = probed()
    resume = Resume(work / "checkpoint.safetensors", key, settings.checkpoint_every)
    lines = train(model, examples, row, settings, team=team, resume=resume, emit=emit, taught=taught)
    return model, {
        "pairs": _counts(examples, dropped),
        "memory_estimate_mb": {name: value // memory.MB for name, value in vars(needed).items()},
        "before": before,
        "after": probed(),
        "first_step": lines[0],
        "last_step": lines[-1],
        "learnt_tokens": learnt_tokens(examples, settings),
        "seconds": round(clock.monotonic() - started, 3),
        "cpu_seconds": round(time.process_time() - worked, 3),
        "threads": torch.get_num_threads(),
        "processes": team.size,
        "device": device.type,
        "torch": torch.__version__,
        "lines": lines,
    }


def _refuse_what_cannot_run(
    model: Any, examples: list[Example], settings: TrainSettings, vocabulary: int, device: torch.device
) -> memory.Estimate:
    """Before the first step: does it fit, and does the architecture compute packed rows?"""
    lengths = [e.tokens for e in examples]
    together = at_a_time(device)
    groups = batches(lengths, settings.tokens_per_batch // together)
    shapes = [(len(group) * together, lengths[group[0]]) for group in groups]
    rows, length = max(shapes, key=lambda shape: (shape[0] * shape[1] ** 2, shape))
    needed = memory.estimate(model, rows, length, vocabulary)
    limit_mb = settings.memory_limit_mb
    memory.refuse_above(needed, memory.available(device) if limit_mb is None else limit_mb * memory.MB)
    shortest = min(examples, key=lambda e: e.tokens)
    refuse_unless_packable(model, shortest, tolerance=1e-3 if settings.dtype == "float32" else 5e-2)
    return needed


def _counts(examples: list[Example], dropped: Counter[str]) -> dict[str, Any]:
    return {
        "trained": len(examples),
        "dropped": dict(dropped),
        "groups": len({e.group for e in examples}),
        "packed_tokens": sum(e.tokens for e in examples),
        "plain_tokens": sum(e.tokens + len(e.prompt) for e in examples),
    }


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        raise BadFile("the manifest is missing or is no JSON", field="manifest") from None
    if not isinstance(manifest, dict):
        raise BadFile("the manifest is no object", field="manifest")
    return manifest


def _adapters(manifest: dict[str, Any], beside: Path, settings: TrainSettings) -> dict[str, Path]:
    """The named adapters' folders, as far as the settings ask for them; relative ones lie beside the manifest."""
    wanted = {settings.reference, settings.init} - {"original"}
    given = manifest.get("adapters", {})
    missing = sorted(wanted - set(given))
    if missing:
        raise FailedPrecondition(f"the manifest names no adapter for: {', '.join(missing)}", field="adapters")
    return {name: beside / given[name] for name in sorted(wanted)}


def _teacher(row: Row, beside: Path, settings: TrainSettings) -> dict[str, Path]:
    """`base` and `adapter` of the teacher, where the objective has one."""
    if "teacher" not in row.traits["needs"]:
        return {}
    if settings.teacher is None:
        raise BadSettings(f"{settings.objective} is taught by a larger model: name it", field="teacher")
    return {name: beside / folder for name, folder in sorted(settings.teacher.items())}


def _inputs(
    manifest: dict[str, Any], pairs: Path, base: Path, adapters: dict[str, Path], teacher: dict[str, Path]
) -> dict[str, str]:
    """Digests of everything that was read; DataLoss where the manifest expected another."""
    inputs = {"pairs": file_digest(pairs), "base": tree_digest(base)[0]}
    inputs |= {f"adapter/{name}": tree_digest(folder)[0] for name, folder in adapters.items()}
    inputs |= {f"teacher/{name}": tree_digest(folder)[0] for name, folder in teacher.items()}
    for name, expected in manifest.get("inputs", {}).items():
        if inputs.get(name, expected) != expected:
            raise DataLoss(f"{name} is not what the manifest names", expected=expected, found=inputs[name])
    return inputs


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"
