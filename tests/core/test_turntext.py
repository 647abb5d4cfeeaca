import pytest
from rejoinder.core.errors import BadFile
from rejoinder.core.turntext import Budget, layout, marks


def test_only_words_of_the_follow_up_have_type_one():
    row = layout([11, 12], [21, 22, 23], cls=1, sep=2, budget=Budget())
    assert row.ids == (1, 11, 12, 2, 21, 22, 23, 2)
    assert row.types == (0, 0, 0, 0, 1, 1, 1, 0)
    assert row.at == (0, 1, 2)


def test_what_is_too_long_keeps_its_beginning_and_its_end():
    budget = Budget(answer_head=1, answer_tail=2, followup_head=2, followup_tail=1)
    row = layout(range(10, 20), range(50, 60), cls=1, sep=2, budget=budget)
    assert row.ids == (1, 10, 18, 19, 2, 50, 51, 59, 2)
    assert row.at == (0, 1, 9)


@pytest.mark.parametrize("size", [0, 1, 80, 81, 500])
def test_the_longest_row_is_the_budget_and_three(size):
    row = layout(range(size), range(size), cls=1, sep=2, budget=Budget())
    assert len(row.ids) == len(row.types) <= 131
    assert sum(row.types) == len(row.at) == min(size, 80)


def test_a_tokenizer_without_our_layouts_marks_is_refused_before_a_row_is_made():
    class Words(dict):
        token_to_id = dict.get

    assert marks(Words({"[CLS]": 101, "[SEP]": 102})) == (101, 102)
    with pytest.raises(BadFile, match="CLS"):
        marks(Words({"<s>": 0, "[SEP]": 102}))
