from rejoinder.training.feeds import FED_BY, FEEDS, JUDGED, LIST, PAIR


def test_every_objective_can_learn_from_what_it_reads():
    assert set(FEEDS.values()) <= set(FED_BY)
    assert all(feed in FED_BY[feed] for feed in FEEDS.values())


def test_a_list_can_be_cut_to_a_pair_and_no_pair_grows_to_a_list():
    assert LIST in FED_BY[PAIR]
    assert PAIR not in FED_BY[LIST]
    assert JUDGED not in FED_BY[PAIR]
