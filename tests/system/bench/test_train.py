"""loadtests/train: every side trains on the same pairs, the unshared baseline computes the same, and ratios are said
as the demands are."""

import pytest
import torch
from rejoinder.training.adapters import load_base
from rejoinder.training.logps import token_logps
from rejoinder.training.pack import pack

from loadtests.report import Row
from loadtests.train import __main__ as bench
from loadtests.train import unshared
from loadtests.train.data import Lengths, examples, log_uniform, text
from loadtests.train.model import END, Shape, build
from loadtests.train.our_side import Ours


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    build(folder, Shape(layers=1, hidden=64, vocabulary=50))
    return folder


def test_lengths_are_spread_over_the_whole_range():
    made = log_uniform(8)
    assert sum(each.prompt < 181 for each in made) == 4
    assert all(32 <= each.prompt <= 1024 and 16 <= min(each.chosen, each.rejected) <= 256 for each in made)


def test_words_encode_to_the_tokens_that_they_stand_for(base):
    from transformers import PreTrainedTokenizerFast

    pair = examples([Lengths(5, 4, 3)], 50)[0]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    for response in pair.responses:
        assert tuple(tokenizer(f"{text(pair.prompt)} {text(response)}{END}")["input_ids"]) == (*pair.prompt, *response)


def test_the_unshared_baseline_computes_the_same(base):
    model, pairs = load_base(base, "float32", torch.device("cpu")), examples([Lengths(9, 4, 3), Lengths(3, 6, 8)], 50)
    torch.testing.assert_close(token_logps(model, unshared.pack(pairs)), token_logps(model, pack(pairs)))
    assert [unshared.computed(pair) for pair in pairs] == [26, 22]


def test_our_side_gives_the_mean_loss_of_its_pairs_and_that_means_gradient(base):
    side, pairs = Ours(base, "float32"), examples([Lengths(9, 4, 3), Lengths(3, 6, 8)], 50)
    loss, slopes = side.gradients(pairs)
    apart = [side.gradients([pair]) for pair in pairs]
    assert loss == pytest.approx(sum(each[0] for each in apart) / 2)
    assert slopes
    assert all(slope.abs().max() > 0 for slope in slopes.values())
    for name, slope in slopes.items():
        torch.testing.assert_close(slope, (apart[0][1][name] + apart[1][1][name]) / 2)


def test_every_side_is_told_the_same_number_of_optimiser_steps_and_another_number_ends_the_bench():
    class Side:
        def __init__(self, steps):
            self._steps = steps

        def ask(self, said):
            return {"cpu_s": 1.0, "wall_s": 1.0, "steps": self._steps}

    work = bench.tasks(40, 2, {"batch": 4, "strategy": "random", "cpu_s": 1.0})
    assert [{said["pairs_per_step"] for said in task.said.values()} for task in work] == [{32}, {1}, {1}]
    assert [task.said["trl"]["batch"] for task in work] == [4, 1, 1]
    assert len(bench.alternated({"ours": Side(2), "trl": Side(2)}, work, 1, print)["4:1"]["trl"]) == 2
    with pytest.raises(bench.Unequal, match="'trl': 10"):
        bench.alternated({"ours": Side(2), "trl": Side(10)}, work, 1, print)


def turn(cpu_s, peak_mib=1.0):
    return {"cpu_s": cpu_s, "wall_s": 1.0, "peak_mib": peak_mib, "grown_mib": 1.0}


def test_a_ratio_is_how_many_times_less_ours_costs_and_the_warm_up_counts_for_memory_alone():
    ours = [turn(9.0, 3.0), turn(1.0), turn(2.0), turn(1.0)]
    theirs = [turn(9.0, 2.0), turn(3.0), turn(2.0), turn(3.0)]
    found = {task: {"ours": ours, "unshared": theirs, "trl": theirs} for task in (bench.MIXED, "4:1", "1:1")}
    rows = {row.name: row for row in bench.rows_of(found)}
    row = rows["lengths log-uniform / TRL at its best"]
    assert (row.ours, row.peer, row.ratio, row.met) == (1000.0, 3000.0, 3.0, True)
    assert bench.spreads(found)[row.name] == (1.0, 3.0)
    assert rows["peak RSS / TRL, lengths log-uniform"].met is False
    assert Row("", 1.0, 1.9, "", 2.0, inverse=True).met is False


def test_a_side_that_computes_something_else_ends_the_bench(tmp_path):
    from safetensors.torch import save_file

    class Side:
        def __init__(self, name, slope):
            self.name, self._slope = name, slope

        def ask(self, said):
            save_file({"a": torch.tensor([1.0, self._slope])}, said["out"])
            return {"loss": 0.5}

    def of(slope):
        return {"ours": Side("ours", 2.0), "unshared": Side("unshared", 2.0), "trl": Side("trl", slope)}

    assert bench.equal(of(2.0001), tmp_path, [], print)["trl"]["gradient"] < 1e-4
    with pytest.raises(bench.Unequal, match="trl"):
        bench.equal(of(2.001), tmp_path, [], print)
