import dataclasses

import pytest
import torch
from rejoinder.training.views import HistoryLogps, JudgedLogps, ListLogps, PairLogps, Responses, TaughtLogps, total


def view():
    chosen = torch.tensor([[-1.0, -2.0, torch.nan], [-3.0, torch.nan, torch.nan]])
    mask = ~chosen.isnan()
    one = torch.ones(2)
    return PairLogps(chosen, chosen * 2, mask, mask, chosen - 1, chosen * 2 + 1, one, one, one)


def test_sums_run_over_response_tokens_alone():
    assert view().chosen_sum.tolist() == [-3.0, -3.0]
    assert view().rejected_sum.tolist() == [-6.0, -6.0]
    assert view().chosen_length.tolist() == [2.0, 1.0]


def test_a_ratio_is_policy_minus_reference():
    assert view().chosen_ratio.tolist() == [2.0, 1.0]
    assert view().rejected_ratio.tolist() == [-2.0, -1.0]


def test_a_response_without_tokens_has_length_one_and_sum_zero():
    empty = dataclasses.replace(view(), chosen_mask=torch.zeros(2, 3, dtype=torch.bool))
    assert empty.chosen_length.tolist() == [1.0, 1.0]
    assert total(empty.chosen, empty.chosen_mask).tolist() == [0.0, 0.0]


def lists():
    """Two lists, of three and of one response, which are one token long."""
    logps = torch.tensor([[-1.0, -2.0, -3.0], [-4.0, torch.nan, torch.nan]])[..., None]
    one = torch.ones(2)
    value = torch.tensor([[5.0, 4.0, -2.0], [0.0, 0.0, 0.0]])
    return Responses(logps, ~logps.isnan(), logps + 1, value, one, one, one, torch.tensor(0.0))


def test_a_pair_of_a_list_is_its_best_and_its_worst():
    view = PairLogps.of(lists())
    assert (view.chosen_sum[0], view.rejected_sum[0], view.rejected_ratio[0]) == (-1.0, -3.0, -1.0)


@pytest.mark.parametrize("places", [1, 2, 3])
def test_an_answer_that_stands_alone_is_of_the_side_that_it_was_judged_to_be_of(places):
    alone = Responses(**{n: v[1:] if v is not None and v.dim() else v for n, v in vars(lists()).items()})
    alone = dataclasses.replace(
        alone, **{n: getattr(alone, n)[:, :places] for n in ("logps", "mask", "reference", "value")}
    )
    bad, good = (PairLogps.of(dataclasses.replace(alone, value=alone.value + by)) for by in (0, 1))
    assert (good.chosen_sum, good.rejected_sum) == (-4.0, 0.0)
    assert (bad.chosen_sum, bad.rejected_sum, bad.rejected_ratio) == (0.0, -4.0, -1.0)


def test_a_list_shows_what_is_there():
    view = ListLogps.of(lists())
    assert view.present.tolist() == [[True, True, True], [True, False, False]]
    assert view.ratio.tolist() == [[-1.0, -1.0, -1.0], [-1.0, 0.0, 0.0]]


def test_a_value_above_one_half_is_a_good_answers():
    assert JudgedLogps.of(lists()).desirable.tolist() == [[True, True, False], [False, False, False]]


def test_a_view_that_shows_a_reference_needs_one():
    bare = dataclasses.replace(lists(), reference=None)
    assert PairLogps.of(bare).ref_chosen is None
    with pytest.raises(TypeError, match="reference"):
        _ = ListLogps.of(bare).ratio


def test_a_teacher_is_shown_at_the_best_and_the_worst_of_a_list():
    places = torch.arange(3.0).view(1, 3, 1, 1).expand(2, 3, 1, 5)
    given = dataclasses.replace(lists(), student=places, teacher=places + 10, before=places + 20)
    found = TaughtLogps.of(given)
    assert [t[0, :, 0, 0].tolist() for t in (found.student, found.teacher, found.before)] == [
        [0, 2],
        [10, 12],
        [20, 22],
    ]
    assert found.chosen_sum[0] == -1.0


def test_a_history_is_left_out_of_the_best_of_a_list():
    given = lists()
    found = HistoryLogps.of(dataclasses.replace(given, without=given.logps - 1, effect=given.logps + 1))
    assert [t[0, 0].item() for t in (found.chosen, found.without, found.effect)] == [-1.0, -2.0, 0.0]
