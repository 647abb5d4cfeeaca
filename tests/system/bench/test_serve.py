"""loadtests/serve in its short form: versions change under load, and the figures are what was taken."""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from rejoinder.core.modelfolder import GRAPH

from loadtests import report
from loadtests.serve import costs, encoders, measure, swaps
from loadtests.serve.measure import Side, Stopwatch, Taken
from loadtests.serve.peers import tei, turns

#: Answers as Text Embeddings Inference does, best first, with a text's number as its score; says how it was started.
ROUTER = """#!{python}
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def say(self, said):
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.say(None)
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.path == "/rerank" and asked["raw_scores"] is True
        found = [{{"index": at, "score": float(each)}} for at, each in enumerate(asked["texts"])]
        self.say(sorted(found, key=lambda one: -one["score"]))

said = dict(zip(sys.argv[1::2], sys.argv[2::2]))
started = {{"said": said, "environment": sorted(os.environ), "processors": len(os.sched_getaffinity(0))}}
with open(os.path.join(said["--model-id"], "started.json"), "w") as file:
    json.dump(started, file)
HTTPServer((said["--hostname"], int(said["--port"])), Handler).serve_forever()
"""


@pytest.mark.system
@pytest.mark.proof
def test_no_answer_fails_or_is_of_another_version_than_it_names_while_versions_change(tmp_path: Path) -> None:
    """Two adapters that said the same would not be told apart: `known` refuses them, and is the control."""
    found = swaps.counted(tmp_path, 30)
    assert (found.swaps, found.failed, found.crossed, found.stale) == (30, 0, 0, 0)
    assert found.answers >= 30
    assert found.likelihoods > 0


def test_sides_take_turns_and_the_medians_of_their_rounds_are_compared() -> None:
    order: list[str] = []

    def side(name: str, *rates: float) -> Side:
        def take(turn: int) -> Taken:
            order.append(name)
            return Taken(rates[turn], 1.0, 2.0, (rates[turn],))

        return Side(name, take)

    found = measure.alternated([side("ours", 99, 3, 9, 6), side("peer", 1, 2, 4, 1)], rounds=3)
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer", "peer", "ours"]
    processor, clock = measure.compared("a", found, "ours", "peer", "rows", 2.5)
    assert (processor.ours, processor.peer, processor.met) == (6, 2, True)
    assert (clock.ours, clock.peer, clock.unit) == (3, 1, "rows/s")
    assert measure.spread(found)["ours"]["per_cpu_s"] == [3, 6, 9]
    assert measure.tail("p99", found, "ours", "peer", 1.0).met is False


def test_a_stopwatch_takes_what_the_process_used_since_it_was_made() -> None:
    used = iter([5e6, 7e6])
    taken = Stopwatch(lambda: next(used)).taken(3, [0.1])
    assert (taken.units, taken.cpu_s, taken.latencies) == (3, 2.0, (0.1,))
    assert taken.wall_s >= 0


def test_what_is_kept_counts_pages_in_use_and_not_what_was_let_go(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "log.db")) as database:
        database.execute("CREATE TABLE words (text TEXT)")
        database.executemany("INSERT INTO words VALUES (?)", [("word" * 100,)] * 1000)
        database.commit()
        full = costs.stored(tmp_path)
        database.execute("DELETE FROM words")
        database.commit()
        assert full > 400_000
        assert costs.stored(tmp_path) < full / 10


def test_every_side_gets_the_same_pairs_in_the_same_round_and_lengths_are_mixed() -> None:
    asked = encoders.pairs(3, 200, 1)
    assert asked == encoders.pairs(3, 200, 1) != encoders.pairs(4, 200, 1)
    sizes = sorted(len(each.documents[0].split()) for each in asked)
    assert sizes[-1] > 3 * sizes[100] > 9 * sizes[0]


def test_two_precisions_agree_in_what_share_of_pairs_they_order_alike_and_by_how_much_their_scores_differ() -> None:
    fine, coarse = [[1.0, 2.0, 3.0], [4.0, 1.0]], [[1.0, 3.0, 2.5], [4.25, 1.0]]
    order, off = encoders.agreement("x", fine, coarse)
    assert (order.ours, order.peer, order.demand) == (0.75, 1.0, None)
    assert off.ours == 1.0
    # The spread is that of the scores in fp32.
    assert off.peer == pytest.approx(1.36**0.5)
    assert encoders.ordered_alike(fine, fine) == 1.0


@pytest.mark.system
def test_tei_is_asked_as_it_answers_and_started_with_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options can be said by the environment: an API_KEY of ours would make it refuse every request."""
    router = tmp_path / "router"
    router.write_text(ROUTER.format(python=sys.executable), "utf-8")
    router.chmod(0o755)
    monkeypatch.setenv("API_KEY", "ours")
    with encoders.tei(tmp_path, tei.binary(str(router)), tmp_path, 512) as process:
        asked = encoders.Pairs("q", ["2", "3", "1"])

        async def scores() -> list[float]:
            ask, close = encoders.tei_client(process.port)
            try:
                return await ask(asked)
            finally:
                await close()

        assert asyncio.run(scores()) == [2, 3, 1]
    started = json.loads((tmp_path / "started.json").read_text("utf-8"))
    assert (started["said"]["--max-batch-tokens"], started["said"]["--hostname"]) == ("512", "127.0.0.1")
    assert started["processors"] <= encoders.THREADS
    assert "ORT_DYLIB_PATH" in started["environment"]
    assert "API_KEY" not in started["environment"]


def test_a_path_that_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no program"):
        tei.binary(str(tmp_path))


def test_tei_reads_our_graph_whose_scores_are_a_column_named_logits(tmp_path: Path) -> None:
    ours, transformers = tmp_path / "ours", tmp_path / "hf"
    (ours / GRAPH).parent.mkdir(parents=True)
    transformers.mkdir()
    for name in tei.FILES:
        (transformers / name).write_text(name, "utf-8")
    ids = make_tensor_value_info("input_ids", onnx.TensorProto.FLOAT, ["rows", "tokens"])
    score = make_tensor_value_info("score", onnx.TensorProto.FLOAT, ["rows"])
    nodes = [make_node("ReduceMax", ["input_ids"], ["score"], axes=[1], keepdims=0)]
    graph = make_model(make_graph(nodes, "g", [ids], [score]), opset_imports=[make_opsetid("", 17)], ir_version=8)
    onnx.save(graph, str(ours / GRAPH))
    served = tei.made(ours, transformers, tmp_path / "served")
    assert all((served / name).read_text("utf-8") == name for name in tei.FILES)
    session = onnxruntime.InferenceSession(served / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    (output,) = session.get_outputs()
    (found,) = session.run(None, {"input_ids": np.array([[1, 5], [7, 2]], np.float32)})
    assert output.name == "logits"
    assert found.tolist() == [[5], [7]]


def test_rows_beside_a_peer_that_was_not_run_say_why_and_are_not_met() -> None:
    found = {"reward": [Taken(6.0, 1.0, 2.0, (0.1, 0.2))]}

    def rows(peer: str) -> list[report.Row]:
        return measure.compared("reward / TEI", found, "reward", peer, "requests", 1.3)

    for row in encoders.beside_tei(found, "reward", rows):
        said = row.as_json()
        assert (said["peer"], said["ratio"], said["met"], said["demand"]) == (None, None, None, 1.3)
        assert said["not_run"] == encoders.NO_TEI
        assert f"not run: {encoders.NO_TEI} | {row.unit} | - | ≥ 1.3 | - |" in report.table([row], {})
    found["reward, TEI"] = [Taken(3.0, 1.0, 2.0)]
    assert [row.as_json()["met"] for row in encoders.beside_tei(found, "reward", rows)] == [True, True]


@pytest.mark.system
def test_turns_are_read_by_the_worker_by_the_bare_session_and_as_they_come() -> None:
    work = turns.work_of(Path("build/models/signals"), 1)
    found = {way: work({"way": way, "turn": 1, "count": 6}) for way in ("worker", "bare", "arrival")}
    assert 20 < found["bare"]["tokens"] < 131
