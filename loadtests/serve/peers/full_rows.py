"""The naive way with the same graph, session and tokenizer: every answer is read behind its whole context, in one pass.

python -m loadtests.serve.peers.full_rows reward|policy FOLDER THREADS READY
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime_genai
from rejoinder.core.modelfolder import FACTS
from rejoinder.core.types import Message, Role
from rejoinder.runtime.backends.chattext import ChatText, control_tokens
from rejoinder.runtime.backends.decoder import Decoder
from rejoinder.runtime.backends.rows import BASE
from rejoinder.runtime.backends.sampling import log_softmax

from loadtests.serve.peers.asked import Work, answer


def work_of(kind: str, folder: Path, threads: int) -> Work:
    decoder = Decoder(folder, threads)
    text = ChatText(onnxruntime_genai.Tokenizer(str(folder)), control_tokens(folder))
    end = json_of(folder / FACTS)["end"] if kind == "reward" else [min(decoder.shape.ends)]

    def value(context: list[int], tokens: list[int]) -> float:
        row = context + tokens
        if kind == "reward":
            return float(decoder.read(decoder.cache(1, len(row)), 0, row, 0, BASE)[-1, 0])
        # What follows the last token is not asked for.
        logits = decoder.read(decoder.cache(1, len(row)), 0, row[:-1], 0, BASE)[len(context) - 1 :]
        return float(log_softmax(logits)[range(len(tokens)), tokens].sum())

    def work(said: Mapping[str, Any]) -> Mapping[str, Any]:
        context = text.chat([Message(Role.USER, said["context"])])
        rows = [text.text(each) + end for each in said["answers"]]
        sizes = [len(context), sum(map(len, rows)) / len(rows)]
        return {"values": [value(context, row) for row in rows], "tokens": sizes}

    return work


def json_of(path: Path) -> Any:
    import json

    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    answer(sys.argv[4], work_of(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
