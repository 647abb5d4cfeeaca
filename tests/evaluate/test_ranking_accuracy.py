import numpy as np
import pytest
from rejoinder.evaluate.ranking_accuracy import Scored, by_difficulty, difficulty, idealised, rank_report


def row(i, chosen, rejected, chosen_tokens=10, rejected_tokens=10, group=None):
    return {
        "id": f"p{i}",
        "group": group or f"u{i}",
        "chosen_logp": chosen,
        "rejected_logp": rejected,
        "chosen_tokens": chosen_tokens,
        "rejected_tokens": rejected_tokens,
    }


def draw():
    return np.random.default_rng(0)


def world(seed=0, n=400):
    """Rows before training, and after a training that moves every pair by two nats and some noise."""
    rng = np.random.default_rng(seed)
    before = [row(i, *rng.normal(-20, 3, 2), *rng.integers(5, 30, 2).tolist(), group=f"u{i // 4}") for i in range(n)]
    after = [{**r, "chosen_logp": r["chosen_logp"] + 2 + rng.normal(0, 0.5)} for r in before]
    return before, after


def test_four_pairs_by_hand():
    rows = [row(0, -1, -2), row(1, -3, -2), row(2, -2, -2), row(3, -8, -9, 20, 9)]
    report = rank_report(rows, rows, generator=draw())
    assert report["summed"]["all"]["before"]["value"] == 2.5 / 4
    assert report["per_token"]["all"]["before"]["value"] == 2.5 / 4
    assert report["summed"]["length_matched"]["before"]["value"] == 1.5 / 3
    assert report["summed"]["all"]["longer_wins"]["value"] == (3 * 0.5 + 1) / 4
    assert report["summed"]["all"]["gain"]["value"] == 0


def test_summed_and_per_token_part_where_lengths_do():
    """F03: a long good answer loses the sum and wins per token."""
    report = rank_report([row(0, -10, -8, 20, 4)], [row(0, -10, -8, 20, 4)], generator=draw())
    assert report["summed"]["all"]["after"]["value"] == 0
    assert report["per_token"]["all"]["after"]["value"] == 1


@pytest.mark.parametrize(("lengths", "kept"), [((8, 10), 1), ((10, 8), 1), ((79, 100), 0), ((126, 100), 0)])
def test_length_matched_means_a_ratio_from_four_fifths_to_five_fourths(lengths, kept):
    rows = [row(0, -1, -2, *lengths)]
    assert rank_report(rows, rows, generator=draw())["summed"]["length_matched"]["after"]["n"] == kept


def test_training_that_moves_pairs_shows_as_a_gain_whose_interval_clears_zero_and_shuffled_pairs_do_not():
    before, after = world()
    gain = rank_report(before, after, generator=draw())["summed"]["all"]["gain"]
    assert gain["low"] > 0.05
    coin = np.random.default_rng(2).choice([-2, 2], len(before))
    swapped = [{**r, "chosen_logp": r["chosen_logp"] + c} for r, c in zip(before, coin, strict=True)]
    control = rank_report(before, swapped, generator=draw())["summed"]["all"]["gain"]
    assert control["low"] < 0 < control["high"]


def test_the_interval_resamples_groups_and_is_wider_than_one_over_pairs():
    rng = np.random.default_rng(1)
    lucky = rng.random(40) < 0.5
    rows = [row(i, -1 if lucky[i // 10] else -3, -2, group=f"u{i // 10}") for i in range(400)]
    alone = [{**r, "group": r["id"]} for r in rows]

    def width(some):
        figure = rank_report(some, some, generator=draw())["summed"]["all"]["after"]
        return figure["high"] - figure["low"]

    assert width(rows) > 2 * width(alone)


def test_below_two_hundred_pairs_a_figure_is_unmeasured_and_an_empty_slice_has_no_value():
    before, after = world(n=199)
    assert rank_report(before, after, generator=draw())["summed"]["all"]["after"]["measured"] is False
    rows = [row(0, -1, -2, 1, 9)]
    empty = rank_report(rows, rows, generator=draw())["summed"]["length_matched"]["after"]
    assert empty == {"value": None, "low": None, "high": None, "n": 0, "groups": 0, "measured": False}


def test_flips_count_pairs_that_turned_either_way():
    before = [row(0, -3, -2), row(1, -1, -2), row(2, -1, -2), row(3, -3, -2)]
    after = [row(0, -1, -2), row(1, -3, -2), row(2, -1, -2), row(3, -1, -2)]
    flips = rank_report(before, after, generator=draw())["flips"]
    assert (flips["turned_right"]["value"], flips["turned_wrong"]["value"]) == (0.5, 0.25)


def test_other_pairs_after_than_before_are_refused():
    with pytest.raises(ValueError, match="same pairs"):
        rank_report([row(0, -1, -2)], [row(1, -1, -2)], generator=draw())


def test_the_loss_threshold_rule_predicts_every_ranking():
    """The paper's proposition: right exactly where DPO's loss is below -log sigmoid(beta * difficulty)."""
    before, after = map(Scored.of, world(n=2000))
    beta = 0.1
    gap = (after.chosen - before.chosen) - (after.rejected - before.rejected)
    loss, threshold = (np.logaddexp(0, -beta * x) for x in (gap, difficulty(before)))
    assert ((loss < threshold) == (after.right(False) == 1)).all()


def test_harder_pairs_turn_right_less_often():
    before, after = map(Scored.of, world(n=2000))
    parts = by_difficulty(before, after, parts=5)
    assert [p["n"] for p in parts] == [400] * 5
    accuracies = [p["after"] for p in parts]
    assert accuracies == sorted(accuracies, reverse=True)
    assert parts[0]["before"] == 1.0
    assert parts[-1]["before"] == 0.0


def test_the_idealised_policy_ranks_right_what_its_raters_outweigh():
    """Two answers, beta 1, raters 3 to 1: the optimum multiplies the odds by 3, so odds above 1/3 come out right."""
    before = Scored.of([row(0, np.log(0.3), np.log(0.7)), row(1, np.log(0.2), np.log(0.8))])
    assert list(idealised(before, np.array([0.75, 0.75]), beta=1.0)) == [1.0, 0.0]
    assert list(idealised(before, np.array([0.99, 1.0]), beta=1.0)) == [1.0, 1.0]
    assert list(idealised(before, np.array([0.75, 0.0]), beta=1e-3)) == [1.0, 0.0]


def test_the_report_carries_difficulty_and_an_idealised_accuracy_that_says_where_its_shares_come_from():
    before, after = world()
    plain = rank_report(before, after, generator=draw(), beta=0.1)
    assert plain["idealised"] is None
    assert sum(part["n"] for part in plain["by_difficulty"]) == 400
    voted = [{**r, "flip_probability": 0.1} for r in before[:300]] + before[300:]
    found = rank_report(voted, after, generator=draw(), beta=0.1)["idealised"]
    assert (found["idealised"]["n"], found["shares_from"]) == (300, "flip_probability")
    assert found["idealised"]["value"] > plain["summed"]["all"]["before"]["value"]


def test_the_gap_is_of_the_same_pairs_and_raters_shares_come_before_estimates():
    before, after = world()
    voted = [{**r, "flip_probability": 0.4, "share": 1.0} for r in before[:100]] + before[100:]
    found = rank_report(voted, after, generator=draw(), beta=0.1)["idealised"]
    assert (found["shares_from"], found["idealised"]["value"]) == ("share", 1.0)
    assert found["gap"]["value"] == pytest.approx(1.0 - found["after"]["value"])
    reached = [{**r, "chosen_logp": 0.0, "rejected_logp": -9.0} for r in after]
    assert rank_report(voted, reached, generator=draw(), beta=0.1)["idealised"]["gap"]["value"] == 0.0


def test_a_talkative_group_weighs_by_its_pairs_in_value_and_interval():
    """Fifty quiet users are served right, fifty with nine pairs each wrong: one pair in ten, not one user in two."""
    rows = [row(i, -1, -2, group=f"quiet{i}") for i in range(50)]
    rows += [row(50 + i, -3, -2, group=f"loud{i // 9}") for i in range(450)]
    figure = rank_report(rows, rows, generator=draw())["summed"]["all"]["after"]
    assert (figure["value"], figure["n"], figure["groups"]) == (0.1, 500, 100)
    assert figure["low"] < 0.1 < figure["high"] < 0.2
