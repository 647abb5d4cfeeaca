from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import BadFile, BadSettings
from rejoinder.core.metrics import Metrics
from rejoinder.core.modelfolder import FACTS, seal
from rejoinder.core.table import Row
from rejoinder.core.types import Message, Role
from rejoinder.reward.heads.bt import BradleyTerry
from rejoinder.reward.loading import loaded, refuse_twins
from rejoinder.reward.scorer import LoadedHead, Scorer
from rejoinder.reward.settings import HeadSettings
from rejoinder.runtime.batching.textmodel import BatchSettings, ModelSettings
from rejoinder.runtime.own import OwnEncoderTheme
from rejoinder.training.heads.causal import scoring

from tests.tinypolicy import tiny_policy


async def test_a_causal_head_reads_a_causal_model_and_answers_as_any_head_does(tmp_path):
    digest = scoring(tiny_policy() / "export", np.ones(64), tmp_path / "reward", None, [2])
    wanted = HeadSettings(head="causal", model=ModelSettings(folder=tmp_path / "reward", threads=1))
    head = loaded("mine", wanted, BatchSettings(), SystemClock(), Metrics())
    await head.model.start()
    try:
        scorer = Scorer([head], max_responses=4)
        asked = [Message(Role.USER, "list three rivers")]
        scored = await scorer.score("", asked, ["seine", "loire rhone", "seine"])
        probability, _ = await scorer.compare("mine", asked, "seine", "loire rhone")
    finally:
        await head.model.close()
    assert (scored.head, scored.digest) == ("mine", digest)
    assert scored.scores[0] == scored.scores[2] != scored.scores[1]
    assert (probability > 0.5) == (scored.scores[0] > scored.scores[1])


def test_a_model_that_another_head_reads_says_which(tmp_path):
    """Who names a model of the hub need not know what it is built on."""
    (tmp_path / "model.json").touch()
    own = ModelSettings(own=OwnEncoderTheme(name=str(tmp_path)))
    with pytest.raises(BadFile, match="holds an encoder, which head: bt reads"):
        loaded("x", HeadSettings(head="causal", model=own), BatchSettings(), SystemClock(), Metrics())
    (tmp_path / "genai_config.json").touch()
    with pytest.raises(BadFile, match="holds a causal model, which reward's head: causal reads"):
        loaded("x", HeadSettings(model=own), BatchSettings(), SystemClock(), Metrics())


def test_a_folder_whose_graph_gives_something_else_is_refused(tmp_path):
    """It would load, and every call would fail."""
    scoring(tiny_policy() / "export", np.ones(64), tmp_path / "reward", None, [2])
    facts = json.loads((tmp_path / "reward" / FACTS).read_text())
    (tmp_path / "reward" / FACTS).write_text(json.dumps(facts | {"outputs": ["embedding"]}))
    seal(tmp_path / "reward")
    wanted = HeadSettings(head="causal", model=ModelSettings(folder=tmp_path / "reward", threads=1))
    with pytest.raises(BadFile, match=r"gives embedding, no score; .*--kind score"):
        loaded("x", wanted, BatchSettings(), SystemClock(), Metrics())


def test_a_private_head_that_does_not_say_its_model_reads_an_encoder(tmp_path, monkeypatch):
    """An encoder's loader looks into the folder first; the other one refuses the backend."""
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(ROW=Row("mine", BradleyTerry, traits={"shape": "scalar"})))
    wanted = HeadSettings(head="mine:ROW", model=ModelSettings(folder=tmp_path, backend="triton"))
    with pytest.raises(BadFile):
        loaded("mine", wanted, BatchSettings(), SystemClock(), Metrics())


def head(name, digest, **facts):
    return LoadedHead(name, None, SimpleNamespace(digest=digest, facts=facts))


def test_one_model_in_two_precisions_is_no_pair_of_judges_f03():
    """By their digests they are two, so a gate would take the second for a judge of its own."""
    with pytest.raises(BadSettings, match="gate is bt in another precision"):
        refuse_twins([head("bt", "d1"), head("gate", "d2", compiled_from="d1")])
    with pytest.raises(BadSettings, match="gate is bt in another precision"):
        refuse_twins([head("bt", "d2", compiled_from="d1"), head("gate", "d3", compiled_from="d1")])
    refuse_twins([head("bt", "d1"), head("copy", "d1"), head("gate", "d4", compiled_from="d5")])
