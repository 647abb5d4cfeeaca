import json
from pathlib import Path

from rejoinder.core.rubric import NAMES, RUBRIC, names
from rejoinder.core.types import Polarity

SHIPPED = Path(__file__).resolve().parents[2] / "services" / "rejoinder" / "signals" / "data" / "sat-v1"


def test_there_are_nine_reasons_of_each_pole():
    assert len(names(Polarity.SAT)) == len(names(Polarity.DSAT)) == 9
    assert len(NAMES) == 18


def test_the_shipped_encoder_speaks_of_the_same_reasons_in_the_same_order():
    labels = json.loads((SHIPPED / "model.json").read_text(encoding="utf-8"))
    assert [tuple(pair) for pair in labels["rubric"]] == [(name, str(row.pole)) for name, row in RUBRIC.items()]


def test_every_reason_says_what_to_do_next_time():
    assert all(row.wish.endswith(".") and row.meaning for row in RUBRIC.values())
