import threading

import pytest
import torch
from rejoinder.training.parallel import Hands, Team, joined


def test_a_team_of_one_takes_everything_and_sends_nothing():
    with joined({}, torch.device("cpu")) as team:
        value = torch.ones(2)
        team.add([value])
        assert team == Team(0, 1)
        assert team.share([[0, 1], [2]]) == [[0, 1], [2]]
        assert value.tolist() == [1, 1]


def test_the_shares_of_a_team_are_every_micro_batch_once():
    batches = [[i] for i in range(7)]
    shares = [Team(rank, 3).share(batches) for rank in range(3)]
    assert sorted(b for share in shares for b in share) == batches
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_hands_work_at_once_and_answer_in_the_order_of_the_items(two_threads):
    both = threading.Barrier(2, timeout=60)

    def make(item):
        # One hand alone would wait here for ever.
        both.wait()
        return item, torch.get_num_threads()

    with Hands(torch.device("cpu")) as hands:
        assert list(hands.map(make, range(4))) == [(i, 1) for i in range(4)]
    assert torch.get_num_threads() == 2


def test_what_a_hand_raises_is_raised(two_threads):
    with Hands(torch.device("cpu")) as hands, pytest.raises(ZeroDivisionError):
        list(hands.map(lambda item: 1 // item, [1, 0]))
