"""One round of one policy: claim a number, run the stages, close the claim as published or refused.

Killed anywhere, the same call goes on where it stopped: the claim is this loop's, finished stages are found by their
key, the train stage resumes from its own checkpoint. A refused round is a legal end with its report.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rejoinder.core.arms import Salts, bucket
from rejoinder.core.clock import Clock
from rejoinder.core.errors import ClaimTaken, FailedPrecondition
from rejoinder.core.ids import derived_id, digest_of
from rejoinder.core.types import Preference, RoundEvent
from rejoinder.evaluate.measures.inputs import Check, GateInputs
from rejoinder.ledger.reading.cut import Cut
from rejoinder.ledger.reading.windows import Evidence, Leaving, Window
from rejoinder.registry import datasets
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.claims import Claim, claim_round, claims, close_round, closed
from rejoinder.registry.reviews import REJECTED, reviewed, reviews
from rejoinder.registry.store import Store
from rejoinder.rounds.build import build_pairs
from rejoinder.rounds.gate import (
    Asked,
    adapter_of,
    answered,
    forget_earlier,
    guarded,
    likelihoods,
    measured,
    prompts_of,
)
from rejoinder.rounds.guided import dissatisfied, guided
from rejoinder.rounds.judge import judge
from rejoinder.rounds.pairs.consensus import agreed
from rejoinder.rounds.pairs.context import Context, Sampler, Scorer, Summariser
from rejoinder.rounds.pairs.guards import breaks
from rejoinder.rounds.pairs.split import split
from rejoinder.rounds.recipe import Recipe, as_plain
from rejoinder.rounds.rewarded import rewarded
from rejoinder.rounds.stages import TRAINING, Done, Stages, command, paths

#: What a round tells of, in order; a refused one ends earlier.
STAGES = ("window", "pairs", "train", "export", "gate")
ADAPTER_FILE = "adapter.onnx_adapter"


class Windows(Protocol):
    """What a round needs of the ledger."""

    def cut(self) -> Cut: ...

    def window(self, loop: str, number: int, policy: str, cut: Cut, leaving: Leaving | None = None) -> Window: ...


@dataclass(frozen=True)
class Loop:
    """Whose rounds these are. uid: of this loop, the holder of claims. folder: where pair sets and work lie.

    base: the base model as a Hugging Face folder; base_export: the same as an artefact's digest. evidence_policy: whose
    answers the window reads, "" for all (observed logs). holdout_share, salts: as in the arms table.
    """

    policy: str
    uid: str
    folder: Path
    base: Path
    base_export: str
    stable: str = ""
    evidence_policy: str = ""
    holdout_share: float = 0.05
    salts: Salts = field(default_factory=Salts)
    salt: bytes = b""


@dataclass(frozen=True)
class Ports:
    """The services. sampler, scorer, summariser: None where they are not there. record: appends a RoundEvent.

    at_once: requests to them under way at a time.
    """

    store: Store
    artefacts: Artefacts
    windows: Windows
    record: Callable[[RoundEvent], None]
    clock: Clock
    sampler: Sampler | None = None
    scorer: Scorer | None = None
    summariser: Summariser | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    told: Callable[[str, str], None] = lambda stage, how: None
    run: Callable[[Sequence[str]], dict[str, Any]] = command
    at_once: int = 8


@dataclass(frozen=True)
class Report:
    """How a round ended. outcome: published | refused. reasons: why it was refused, stable words."""

    policy: str
    number: int
    outcome: str
    version: str
    reasons: tuple[str, ...]
    stages: Mapping[str, Mapping[str, Any]]


class Round:
    """owns: the claim while it runs."""

    def __init__(self, loop: Loop, recipe: Recipe, ports: Ports) -> None:
        self._loop = loop
        self._recipe = recipe
        self._ports = ports
        self._stages = Stages(ports.store, ports.told)
        self._done: dict[str, Done] = {}
        #: From `run` on.
        self._claim: Claim
        self._read: dict[str, list[str]] = {}
        self._turns: list[Evidence] = []

    def run(self) -> Report:
        """Raises ClaimTaken while another loop's round of this policy is open; else ends with a report."""
        loop, ports = self._loop, self._ports
        self._claim = claim_round(ports.store, loop.policy, loop.uid, ports.clock.now())
        sets = self._pairs()
        trained = self._done["pairs"].output["pairs"]
        if trained < self._recipe.train.min_pairs:
            return self._end("refused", "", (f"pairs:{trained}_below_{self._recipe.train.min_pairs}",))
        self._train(sets["train_file"])
        version = self._export(sets["train_file"])
        passed, reasons = self._gate(sets, version)
        return self._end("published" if passed else "refused", version, reasons)

    @property
    def _name(self) -> str:
        return _version_name(self._loop.policy, self._claim.number)

    @property
    def _folder(self) -> Path:
        return self._loop.folder / self._loop.policy / f"{self._claim.number:06d}"

    def _stage(self, name: str, inputs: Mapping[str, Any], make: Callable[[str], Mapping[str, Any]]) -> Done:
        common = {"policy": self._loop.policy, "round": self._claim.number, "seed": self._recipe.seed}
        done = self._stages.run(name, {**common, **inputs}, make)
        self._done[name] = done
        self._event(name, done.output.get("digest", done.key))
        return done

    def _event(self, stage: str, digest: str, version: str = "") -> None:
        """Says on the log what stands; the same stage twice is the same event."""
        name = derived_id("round", self._loop.policy, str(self._claim.number), stage, digest)
        self._ports.record(
            RoundEvent(
                event_id=name,
                policy=self._loop.policy,
                number=self._claim.number,
                stage=stage,
                digest=digest,
                version=version,
                occurred_at=self._claim.at,
            )
        )

    def _window(self) -> Window:
        """The window of this round; its cut is the first that any runner of the round published."""
        ports = self._ports
        done = self._stage("window", {"loop": self._loop.policy}, lambda key: {"cut": ports.windows.cut().to_json()})
        return self._window_until(Cut.from_json(done.output["cut"]))

    def _window_until(self, cut: Cut) -> Window:
        """As it is now: without what was erased since it was asked for first."""
        loop = self._loop
        return self._ports.windows.window(
            loop.policy,
            self._claim.number,
            loop.evidence_policy,
            cut,
            Leaving(loop.salts.holdout, loop.holdout_share, frozenset(self._rolled_back())),
        )

    def _rolled_back(self) -> list[str]:
        """Versions that a rollout took back: their evidence is left out, and counted."""
        return [n.removesuffix(".json") for n in self._ports.store.names(f"rolled_back/{self._loop.policy}")]

    def _pairs(self) -> dict[str, Path]:
        """Pair sets of this round and the training file made of them and of earlier rounds'."""
        window = self._window()
        self._turns = dissatisfied(window.evidence, self._loop.salts, self._loop.holdout_share)
        recipe, loop, ports = self._recipe, self._loop, self._ports
        inputs = {
            "window": window.manifest.digest,
            "builders": as_plain(recipe)["builders"],
            "guards": as_plain(recipe)["guards"],
            "consensus": as_plain(recipe)["consensus"],
            "summariser": recipe.summariser,
            "stable": loop.stable,
            **self._charter,
        }

        def make(key: str) -> Mapping[str, Any]:
            context = Context(
                loop.policy,
                loop.stable,
                self._claim.number,
                recipe.seed,
                ports.sampler,
                ports.scorer,
                ports.summariser,
                ports.at_once,
            )
            pairs, counts = build_pairs(window.evidence, recipe, context)
            # Hours may have passed, and the ledger looked at the sets for the last time when its grace was over.
            held = self._held(window)
            counts["erased"] = sum((pair.tenant, pair.provenance.evidence) not in held for pair in pairs)
            pairs = [pair for pair in pairs if (pair.tenant, pair.provenance.evidence) in held]
            cut = split(pairs, loop.salts, loop.holdout_share)
            counts |= {f"crossing.{cause}": n for cause, n in cut.crossing.items()} | {"without_user": cut.without_user}
            present = [piece for piece in window.evidence if (piece.tenant, piece.id) in held]
            others = agreed(cut.sides["pairs"], present, recipe.consensus, loop.salts, loop.holdout_share)
            counts |= {"consensus.judged": others.judged, "consensus.against": others.against}
            made = {}
            for side, chosen in {**cut.sides, "pairs": others.pairs}.items():
                made[side] = self._write_set(side, key, chosen, counts, window)
            # And between that look and the last write, or since a killed run wrote the sets that were taken over.
            held = self._held(window)
            for side in made:
                datasets.keep(self._set_folder(side, key), held)
            return {
                "digest": digest_of({side: made[side].digest for side in sorted(made)}),
                "sets": {side: asdict(made[side]) for side in sorted(made)},
                "pairs": made["pairs"].rows,
                "counts": dict(sorted(counts.items())),
                "window": {"digest": window.manifest.digest, "counts": dict(window.manifest.counts)},
                "key": key,
            }

        done = self._stage("pairs", inputs, make)
        return self._files(done)

    def _held(self, window: Window) -> Set[tuple[str, str]]:
        """Tenant and id of the evidence of a window that the ledger still has."""
        return {(piece.tenant, piece.id) for piece in self._window_until(window.manifest.cut).evidence}

    def _set_folder(self, side: str, key: str) -> Path:
        return self._folder / f"{side}-{key[:12]}"

    def _write_set(
        self, side: str, key: str, pairs: Sequence[Preference], counts: Mapping[str, int], window: Window
    ) -> datasets.DataSet:
        """Writes a set, or takes over the one that a killed run left whole under the same key."""
        folder = self._set_folder(side, key)
        if (folder / datasets.MANIFEST).exists():
            return datasets.read_manifest(folder)
        shutil.rmtree(folder, ignore_errors=True)
        made_of = {"window": window.manifest.digest}
        return datasets.write(folder, side, pairs, self._loop.salt, counts, made_of, window.manifest.as_of)

    def _files(self, done: Done) -> dict[str, Path]:
        """Files for the stages' processes: training pairs (earlier rounds' too) and the gate's, which accumulate."""
        self._folder.mkdir(parents=True, exist_ok=True)
        verdicts, charter = self._reviews(), self._recipe.charter
        files, refused = {}, {}
        for name, side, earlier in (("train_file", "pairs", self._recipe.keep_earlier), ("gate_file", "gate", True)):
            folders = [self._set_folder(side, done.output["key"])]
            folders += self._earlier(side) if earlier else []
            self._read[side] = [f"{folder.parent.name}/{folder.name}" for folder in folders]
            files[name] = self._folder / f"{side}.jsonl"
            pairs: list[Preference] | None = None
            # Until no row went between reading and writing: what goes later, the eraser takes from the file too.
            while pairs != (found := [pair for folder in folders[::-1] for pair in datasets.read(folder)]):
                pairs = found
                kept = reviewed(pairs, verdicts)
                # Pairs of rounds before the charter, or before this wording of it, are held against it too.
                broken = {pair.id: norm for pair in kept if (norm := breaks(pair, charter))}
                refused[side] = dict(Counter(broken.values()))
                rows = {pair.id: datasets.training_row(pair) for pair in kept if pair.id not in broken}
                if name == "train_file":
                    swap(rows.values(), self._recipe.train.swap_share, self._recipe.seed)
                files[name].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values()))
        if charter is not None:
            told = {"version": charter.version, "digest": charter.digest, "earlier": refused}
            self._done["charter"] = Done("charter", charter.digest, told)
        return files

    @property
    def _charter(self) -> dict[str, str]:
        """What of a stage's inputs is the charter: nothing without one, so that older stages keep their keys."""
        charter = self._recipe.charter
        return {} if charter is None else {"charter": charter.digest}

    def _reviews(self) -> Mapping[str, str]:
        """Pair → what people said of it by when any runner of the round asked first; a killed round goes on with it."""
        known = {"policy": self._loop.policy, "round": self._claim.number}

        def make(key: str) -> Mapping[str, Any]:
            held = {pair: review.verdict for pair, review in reviews(self._ports.store, self._loop.policy).items()}
            return {"verdicts": held, "rejected": sum(verdict == REJECTED for verdict in held.values())}

        done = self._done["reviews"] = self._stages.run("reviews", known, make)
        return done.output["verdicts"]

    def _earlier(self, side: str) -> list[Path]:
        """Sets of this side of earlier rounds that were not abandoned, newest first."""
        found = []
        for claim in claims(self._ports.store, self._loop.policy):
            if claim.number < self._claim.number and claim.outcome in ("published", "refused"):
                # A round that was resumed under another recipe has left sets that it did not train on.
                key = closed(self._ports.store, self._loop.policy, claim.number)["facts"]["stages"].get("pairs", "")
                root = self._loop.folder / self._loop.policy / f"{claim.number:06d}"
                found += [path.parent for path in root.glob(f"{side}-{key[:12]}*/{datasets.MANIFEST}")]
        return sorted(found, reverse=True)

    def _train(self, pairs: Path) -> Done:
        settings, adapters = self._started_from(dict(self._recipe.train.settings))
        inputs = {
            "pairs": _content(pairs),
            "base": self._loop.base_export,
            "train": settings,
            "command": list(self._recipe.train.command),
            "adapters": {name: folder.parent.name for name, folder in adapters.items()},
        }

        def make(key: str) -> Mapping[str, Any]:
            out = self._folder / f"train-{key[:12]}"
            manifest = self._folder / "train.manifest.json"
            named = {name: str(folder.resolve()) for name, folder in adapters.items()}
            manifest.write_text(json.dumps({"contract": "train/v1", "train": settings, "adapters": named}))
            program = self._recipe.train.command or (*TRAINING, "run")
            self._ports.run([*program, *paths(manifest=manifest, pairs=pairs, base=self._loop.base, out=out)])
            if not (out / "adapter" / "adapter_model.safetensors").exists():
                raise FailedPrecondition("the train stage ended without an adapter", command=program[0])
            metrics = json.loads((out / "metrics.json").read_text())
            digest = self._ports.artefacts.put(out)
            return {"digest": digest, "folder": out.name, "metrics": _figures(metrics)}

        return self._stage("train", inputs, make)

    def _started_from(self, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Path]]:
        """The train settings and the adapters they name: `promoted` is what is stable now, `previous` the newest
        version that a round published and no rollout took back. Where there is none yet, it is the original."""
        named = {"promoted": lambda: self._loop.stable, "previous": self._previous}
        adapters = {}
        for field_name in ("init", "reference"):
            wanted = settings.get(field_name, "original")
            if wanted in named:
                found = adapter_of(self._ports.artefacts, self._loop.policy, named[wanted]())
                if found is None:
                    settings[field_name] = "original"
                else:
                    adapters[wanted] = found
        return settings, adapters

    def _previous(self) -> str:
        back = set(self._rolled_back())
        published = [
            _version_name(self._loop.policy, claim.number)
            for claim in claims(self._ports.store, self._loop.policy)
            if claim.number < self._claim.number and claim.outcome == "published"
        ]
        return next((name for name in reversed(published) if name not in back), "")

    def _export(self, pairs: Path) -> str:
        """The adapter as the server loads it, its parity, and the version's name in the registry."""
        trained = self._done["train"].output
        ports = self._ports
        base_export = ports.artefacts.path(self._loop.base_export)

        def make(key: str) -> Mapping[str, Any]:
            adapter = ports.artefacts.verify(trained["digest"]) / "adapter"
            folder = self._folder / f"export-{key[:12]}"
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / ADAPTER_FILE
            ports.run([*TRAINING, "export-adapter", *paths(export=base_export, adapter=adapter, out=target)])
            compared = paths(
                export=base_export, base=self._loop.base, pairs=pairs, adapter=adapter, onnx_adapter=target
            )
            parity = ports.run([*TRAINING, "parity", *compared])
            return {"digest": ports.artefacts.put(folder), "parity": parity}

        done = self._stage("export", {"train": trained["digest"], "base": self._loop.base_export}, make)
        version = Version(
            policy=self._loop.policy,
            version=self._name,
            digest=done.output["digest"],
            base_digest=self._loop.base_export,
            round=self._claim.number,
            dataset_digest=self._done["pairs"].output["digest"],
            made_at=self._claim.at,
            facts={
                "window": self._done["pairs"].output["window"]["digest"],
                "train": trained["digest"],
                # Below this policy's rounds: what it was trained on, of earlier rounds too.
                "sets": self._read["pairs"],
            },
        )
        try:
            ports.artefacts.publish(version)
        except ClaimTaken:
            # A killed run of this very round was here before; anything else under this name is a fault.
            if ports.artefacts.version(self._loop.policy, self._name).digest != version.digest:
                raise
        return version.version

    def _gate(self, files: Mapping[str, Path], version: str) -> tuple[bool, tuple[str, ...]]:
        recipe, ports = self._recipe, self._ports
        inputs = {
            "version": self._done["export"].output["digest"],
            "pairs": _content(files["gate_file"]),
            "stable": self._loop.stable,
            "gate": as_plain(recipe)["gate"],
            "prompts": digest_of(prompts_of(recipe.gate)),
            **self._charter,
            **({} if recipe.topics is None else {"topics": recipe.topics.digest}),
        }

        def make(key: str) -> Mapping[str, Any]:
            trained = ports.artefacts.path(self._done["train"].output["digest"]) / "adapter"
            judging, unjudged = judge(recipe.gate.head, ports.scorer)
            stable, base = self._loop.stable, self._loop.base
            before = ports.artefacts.version(self._loop.policy, stable).digest if stable else self._loop.base_export
            digests = (before, self._done["export"].output["digest"])
            asked = Asked(files["gate_file"], self._folder, base, stable, version, digests)
            # The policy service answers while a process of ours reckons: neither has work for every core.
            with ThreadPoolExecutor(1) as beside:
                answers = beside.submit(answered, asked, recipe.gate, ports.sampler, judging)
                stances = beside.submit(guarded, asked, recipe.topics, recipe.gate, ports.sampler)
                rows = likelihoods(asked, adapter_of(ports.artefacts, self._loop.policy, stable), trained, ports.run)
            found = answers.result()
            gathered = GateInputs(
                *rows,
                found,
                self._done["train"].output["metrics"],
                self._done["export"].output["parity"],
                ports.checks,
                unjudged,
                recipe.charter,
                recipe.topics,
                stances.result(),
            )
            forget_earlier(self._folder)
            versions = (self._loop.stable, version)
            wishes = guided(self._turns, versions, recipe.gate, ports.sampler, recipe.seed)
            pairs = {"train": files["train_file"], "gate": files["gate_file"]}
            rewards = rewarded(pairs, found, recipe.gate, stable, recipe.seed)
            told = {"wishes": wishes, **({"rewards": rewards} if rewards else {})}
            return {**measured(gathered, recipe.gate, recipe.seed), **told}

        done = self._stage("gate", inputs, make)
        return done.output["passed"], tuple(done.output["reasons"])

    def _end(self, outcome: str, version: str, reasons: tuple[str, ...]) -> Report:
        stages = {name: done.output for name, done in self._done.items()}
        self._event("publish" if outcome == "published" else "refused", digest_of(list(reasons)), version)
        facts = {"version": version, "reasons": list(reasons), "stages": {n: d.key for n, d in self._done.items()}}
        self._tidy()
        close_round(self._ports.store, self._claim, outcome, self._ports.clock.now(), facts)
        return Report(self._loop.policy, self._claim.number, outcome, version, reasons, stages)

    def _tidy(self) -> None:
        """Takes away what was made for the stages' processes: words stand in the pair sets alone, where erasure
        finds them, and weights in the artefacts."""
        for path in self._folder.glob("*.jsonl"):
            path.unlink()
        for kind in ("train", "export"):
            for folder in self._folder.glob(f"{kind}-*"):
                shutil.rmtree(folder)


def _version_name(policy: str, number: int) -> str:
    return f"{policy}-r{number:04d}"


def swap(rows: Iterable[dict[str, Any]], share: float, seed: int) -> None:
    """Exchanges the sides of a share of the rows in place, each by a coin of its own."""
    for row in rows:
        if bucket(row["id"], f"swap {seed}") < share:
            row.update(datasets.turned(row))


def _content(path: Path) -> str:
    """Digest of a pairs file's rows, whatever their order."""
    return digest_of(sorted(path.read_text("utf-8").splitlines()))


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What the gate and the report read of the train stage's metrics."""
    return {name: metrics.get(name) for name in ("before", "after", "pairs", "seconds", "first_step", "last_step")}
