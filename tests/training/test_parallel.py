import torch
from rejoinder.training.parallel import Team, joined


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
