import dataclasses
import math

import pytest
import torch
from rejoinder.training import loop
from rejoinder.training.adapters import fresh, load_base, save_adapter, trainable
from rejoinder.training.loop import Resume, learning_rate, responses_of, step_loss, steps, train, without_history
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.pack import pack
from rejoinder.training.parallel import Hands, Team
from rejoinder.training.references import References
from rejoinder.training.settings import LoraSettings, TrainSettings
from rejoinder.training.teacher import asked
from rejoinder.training.views import Responses

SETTINGS = TrainSettings(
    anchor_weight=0.0, lora=LoraSettings(r=4, alpha=8), lr=3e-3, epochs=4, pairs_per_step=4, checkpoint_every=2
)


class Killed(Exception):
    pass


@pytest.fixture
def make_model(base_dir):
    return lambda: fresh(load_base(base_dir, "float32", torch.device("cpu")), SETTINGS.lora, 0)


@pytest.fixture
def teach(base_dir, make_model, tokenizer, tmp_path):
    """What a teacher thinks of these examples: the base, moved by an adapter that was drawn."""

    def go(examples, name="teacher"):
        model = make_model()
        with torch.no_grad():
            for weight in trainable(model).values():
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(weight.numel()))
        save_adapter(model, tmp_path / "aligned", base_name="teacher")
        folders = {"base": base_dir, "adapter": tmp_path / "aligned"}
        return asked(
            folders, tokenizer, examples, SETTINGS, Team(), torch.device("cpu"), tmp_path / f"{name}.taught", "key"
        )

    return go


@pytest.fixture
def run(make_model, teach, examples, tmp_path):
    """Trains a fresh model; returns (lines, weights). The checkpoint is kept under `name`."""

    def go(settings=SETTINGS, examples=examples, name="run", emit=lambda line: None, key="key"):
        model, row = make_model(), OBJECTIVES[settings.objective]
        taught = teach(examples, name) if "teacher" in row.traits["needs"] else None
        resume = Resume(tmp_path / name, key, settings.checkpoint_every)
        lines = train(model, examples, row, settings, team=Team(), resume=resume, emit=emit, taught=taught)
        return lines, {n: p.detach().clone() for n, p in trainable(model).items()}

    return go


def one_step(**changes):
    return dataclasses.replace(SETTINGS, epochs=1, pairs_per_step=64, **changes)


def same(first, second):
    return first[0] == second[0] and all(torch.equal(first[1][n], second[1][n]) for n in first[1])


def test_before_the_first_step_dpo_stands_at_log_two(run):
    lines, _ = run(one_step())
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert lines[0]["chosen_gain"] == pytest.approx(0, abs=1e-4)


def test_a_gradient_does_not_depend_on_how_a_step_is_cut_into_micro_batches(run):
    """Two tokens to one: a mean over micro-batches would weigh a pair by its neighbours."""
    whole, cut = run(one_step(), name="a")[0][0], run(one_step(tokens_per_batch=48), name="b")[0][0]
    assert cut["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-4)
    assert cut["loss"] == pytest.approx(whole["loss"], rel=1e-5)


def test_a_pair_of_weight_two_counts_as_two_pairs(run, examples):
    one = [dataclasses.replace(e, weight=1.0) for e in examples[:4]]
    heavy = [dataclasses.replace(one[0], weight=2.0), *one[1:]]
    twice = [one[0], *one]
    assert run(one_step(), heavy, "a")[0][0]["grad_norm"] == pytest.approx(
        run(one_step(), twice, "b")[0][0]["grad_norm"], rel=1e-4
    )
    assert run(one_step(), one, "c")[0][0]["grad_norm"] != pytest.approx(
        run(one_step(), twice, "d")[0][0]["grad_norm"], rel=1e-3
    )


@pytest.mark.parametrize("objective", ["nextquill", "dckd"])
def test_what_is_beside_a_pair_is_cut_with_it(run, objective):
    settings = one_step(objective=objective)
    whole, cut = (run(dataclasses.replace(settings, tokens_per_batch=n), name=str(n))[0][0] for n in (4096, 48))
    assert cut["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-4)
    assert cut["loss"] == pytest.approx(whole["loss"], rel=1e-5)


def test_an_answer_to_a_prompt_without_its_history_needs_that_prompt(examples):
    with pytest.raises(ValueError, match="p0"):
        without_history(dataclasses.replace(examples[0], bare=None))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_lowers_its_own_loss(run, objective):
    settings = dataclasses.replace(SETTINGS, objective=objective, pairs_per_step=12, epochs=12)
    lines, _ = run(settings)
    assert lines[-1]["loss"] < lines[0]["loss"]
    if OBJECTIVES[objective].traits["contrastive"]:
        assert lines[-1]["accuracy"] > 0.9


def test_the_anchor_keeps_the_chosen_response_likely(run):
    """A contrastive loss alone is content when both responses fall, the rejected one further."""
    settings = dataclasses.replace(SETTINGS, pairs_per_step=12, epochs=12)
    free, _ = run(settings, name="a")
    held, _ = run(dataclasses.replace(settings, anchor_weight=1.5), name="b")
    assert held[-1]["chosen_nll"] < free[-1]["chosen_nll"]
    assert held[-1]["chosen_gain"] > free[-1]["chosen_gain"]


def test_an_anchor_against_falling_costs_what_the_chosen_response_lost_a_token_and_nothing_where_it_gained():
    ours_BKT = torch.tensor([[[-1.0, -3.0], [-2.0, -2.0]], [[-1.0, -1.0], [-2.0, -2.0]]], requires_grad=True)
    theirs_BKT = torch.tensor([[[-1.0, -1.0], [-2.0, -2.0]], [[-2.0, -2.0], [-2.0, -2.0]]])
    ones, zeros = torch.ones(2), torch.zeros(2)
    responses = Responses(
        ours_BKT, torch.ones(2, 2, 2, dtype=bool), theirs_BKT, torch.ones(2, 2), ones, zeros, zeros, None
    )
    row = OBJECTIVES["dpo"]

    def slope(**changes):
        loss, _ = step_loss(responses, row, row.with_params(), dataclasses.replace(SETTINGS, **changes))
        return loss.detach(), torch.autograd.grad(loss, ours_BKT)[0]

    (bare, free), (anchored, held) = slope(), slope(anchor="fall", anchor_weight=2.0)
    assert anchored - bare == pytest.approx(2.0 * (4.0 - 2.0) / 2)
    torch.testing.assert_close((held - free)[:, 0], torch.tensor([[-1.0, -1.0], [0.0, 0.0]]))
    assert not (held - free)[:, 1].any()


def test_pairs_whose_sides_mean_nothing_teach_through_a_likelihood_anchor_alone(run, examples):
    """Each pair both ways round: the comparison cancels out, and what is left of learning is the anchor's."""
    both = [*examples, *(dataclasses.replace(e, responses=e.responses[::-1]) for e in examples)]
    settings = dataclasses.replace(SETTINGS, pairs_per_step=len(both), epochs=8, anchor_weight=1.5)
    pulled, _ = run(settings, both, "likelihood")
    held, _ = run(dataclasses.replace(settings, anchor="fall"), both, "fall")
    assert pulled[-1]["chosen_gain"] > 1.0
    assert abs(held[-1]["chosen_gain"]) < pulled[-1]["chosen_gain"] / 3


def test_a_run_repeats_bit_for_bit_and_another_seed_does_not(run):
    first = run(name="a")
    assert same(first, run(name="b"))
    assert first[0] != run(dataclasses.replace(SETTINGS, seed=1), name="c")[0]


def test_kto_learns_from_answers_that_stand_alone(run, examples):
    """Every pair torn in two, the good and the bad answer each a row: the judged view asks for no more."""

    def torn(example, k):
        return dataclasses.replace(example, responses=(example.responses[k],), values=(1.0 - k,), weight=1.0)

    alone = [torn(e, k) for e in examples for k in (0, 1)]
    whole, cut = (run(one_step(objective="kto", tokens_per_batch=n), alone, str(n))[0][0] for n in (4096, 48))
    assert cut["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-4)
    assert whole["chosen_tokens"] * 2 == pytest.approx(sum(len(e.responses[0]) for e in alone[::2]) / len(examples))
    settings = dataclasses.replace(SETTINGS, objective="kto", params={"beta": 0.5}, pairs_per_step=24, epochs=12)
    lines, _ = run(settings, alone)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["accuracy"] > 0.9


def test_a_list_teaches_all_its_places(run, examples):
    """The middle answer's own log-probability moves the loss: a best-and-worst pair would not know it."""
    ranked = [
        dataclasses.replace(e, responses=(*e.responses, other.responses[0]), values=(2.0, 1.0, 0.0))
        for e, other in zip(examples, examples[1:] + examples[:1], strict=True)
    ]
    listed, _ = run(one_step(objective="tpo"), ranked, "a")
    turned = [dataclasses.replace(e, values=(2.0, 1.0, 1.0)) for e in ranked]
    other, _ = run(one_step(objective="tpo"), turned, "b")
    assert listed[0]["grad_norm"] != pytest.approx(other[0]["grad_norm"], rel=1e-3)


def test_a_token_that_is_not_counted_has_no_say(run, examples):
    """The counted tokens' gradient is that of a pair whose first tokens are part of a shared prompt."""
    longer = [
        dataclasses.replace(e, prompt=e.prompt[:-2], responses=tuple(e.prompt[-2:] + r for r in e.responses))
        for e in examples
    ]
    hidden = [
        dataclasses.replace(e, counted=tuple((False, False) + (True,) * (len(r) - 2) for r in e.responses))
        for e in longer
    ]
    plain, masked = run(one_step(), examples, "a")[0][0], run(one_step(), hidden, "b")[0][0]
    assert masked["grad_norm"] == pytest.approx(plain["grad_norm"], rel=1e-4)
    assert masked["chosen_nll"] == pytest.approx(plain["chosen_nll"], rel=1e-4)
    assert run(one_step(), longer, "c")[0][0]["chosen_nll"] != pytest.approx(plain["chosen_nll"], rel=1e-3)


@pytest.mark.parametrize("objective", ["dpo", "sft", "kto", "nextquill", "dckd"])
def test_a_killed_run_resumes_bit_equal_to_one_that_was_not(run, objective):
    """F17: whatever stood after the last checkpoint is done again, and to the same bits."""
    settings = dataclasses.replace(SETTINGS, objective=objective)
    whole = run(settings, name="whole")
    added = []

    def die_after_five(line):
        added.append(line["step"])
        if line["step"] == 5:
            raise Killed

    with pytest.raises(Killed):
        run(settings, name="killed", emit=die_after_five)
    resumed = run(settings, name="killed", emit=lambda line: added.append(line["step"]))
    assert added == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12]
    assert same(resumed, whole)


def test_two_micro_batches_at_a_time_teach_what_one_does_and_resume_to_the_bit(run):
    settings = dataclasses.replace(SETTINGS, tokens_per_batch=256)
    alone, before = run(settings, name="alone"), torch.get_num_threads()

    def die_after_five(line):
        if line["step"] == 5:
            raise Killed

    torch.set_num_threads(2)
    try:
        both = run(settings, name="both")
        with pytest.raises(Killed):
            run(settings, name="killed", emit=die_after_five)
        assert same(run(settings, name="killed"), both)
    finally:
        torch.set_num_threads(before)
    assert [line["loss"] for line in both[0]] == pytest.approx([line["loss"] for line in alone[0]], rel=1e-4)


def test_resume_without_the_optimisers_moments_would_be_noticed(run, monkeypatch):
    def forgetful(found, weights, optimiser):
        with torch.no_grad():
            for name, parameter in weights.items():
                parameter.copy_(found.parameters[name])

    def die(line):
        if line["step"] == 5:
            raise Killed

    whole = run(name="whole")
    with pytest.raises(Killed):
        run(name="killed", emit=die)
    monkeypatch.setattr(loop, "_restore", forgetful)
    assert not same(run(name="killed"), whole)


def test_a_checkpoint_of_other_inputs_is_not_resumed(run):
    first = run(key="one")
    assert same(run(key="two"), first)


def test_every_epoch_sees_every_pair_once_in_another_order():
    plan = steps([1] * 10, dataclasses.replace(SETTINGS, epochs=2))
    assert [len(s) for s in plan] == [4, 4, 2, 4, 4, 2]
    first, second = ([pair for step in plan[i : i + 3] for pair in step] for i in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_a_token_budget_is_met_by_as_many_passes_as_it_takes_and_passed_by_less_than_one_pair():
    tokens = [3, 5, 7, 11, 13]
    plan = steps(tokens, dataclasses.replace(SETTINGS, epochs=1, token_budget=100))
    order = [i for step in plan for i in step]
    assert [len(s) for s in plan[:2]] == [4, 1]
    assert sum(tokens[i] for i in order[:-1]) < 100 <= sum(tokens[i] for i in order)


def test_the_budget_that_a_plan_has_spent_gives_the_same_plan():
    tokens, settings = [3, 5, 7, 11, 13], dataclasses.replace(SETTINGS, epochs=3, max_steps=5)
    plan = steps(tokens, settings)
    spent = sum(tokens[i] for step in plan for i in step)
    assert steps(tokens, dataclasses.replace(settings, epochs=1, max_steps=None, token_budget=spent)) == plan


def test_the_rate_rises_through_the_warm_up_and_falls_to_a_tenth():
    rates = [learning_rate(s, 20, SETTINGS) / SETTINGS.lr for s in range(20)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates == sorted(rates[:2]) + sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)


def test_lengths_of_both_sides_are_weighted_by_pair(run, examples):
    """F03: what the pairs teach about length stands in every line."""
    line = run(one_step())[0][0]
    weight = sum(e.weight for e in examples)
    assert line["chosen_tokens"] == pytest.approx(sum(e.weight * len(e.responses[0]) for e in examples) / weight)
    assert line["rejected_tokens"] > line["chosen_tokens"]


def test_an_exploding_gradient_ends_the_run_instead_of_spoiling_it(run, examples):
    broken = [dataclasses.replace(examples[0], eps=0.5), *examples[1:]]
    with pytest.raises(RuntimeError, match="non-finite"):
        run(one_step(objective="rdpo"), broken)


def test_under_a_bfloat16_base_every_objectives_gradient_keeps_its_direction(base_dir, examples, teach):
    """No equality is promised in bfloat16; the cosine is, and it is printed."""
    packed, lesson = pack(examples), teach(examples).of(range(len(examples)))

    def gradients(dtype):
        model = fresh(load_base(base_dir, dtype, torch.device("cpu")), SETTINGS.lora, 0)
        theirs = References(model, examples, SETTINGS, Team(), Hands(torch.device("meta"))).of(
            range(len(examples)), packed
        )
        assert all(p.dtype == torch.float32 for p in trainable(model).values())
        for row in OBJECTIVES.values():
            bare = pack([without_history(e) for e in examples]) if "no_history" in row.traits["needs"] else None
            given = responses_of(
                model, packed, theirs, torch.tensor(0.3), bare, lesson if "teacher" in row.traits["needs"] else None
            )
            loss, _ = step_loss(given, row, row.with_params(), SETTINGS)
            yield torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(trainable(model).values()))])

    for name, *both in zip(OBJECTIVES, gradients("float32"), gradients("bfloat16"), strict=True):
        cosine = torch.nn.functional.cosine_similarity(*both, dim=0).item()
        print(f"{name}: bfloat16 gradient cosine {cosine:.5f}")
        assert cosine >= 0.99, name


def test_max_steps_ends_a_run_early_with_its_schedule(run):
    whole, cut = run()[0], run(dataclasses.replace(SETTINGS, max_steps=3), name="cut")[0]
    assert len(whole) > 3
    assert [line["steps"] for line in cut] == [3, 3, 3]
    # The rate falls to a tenth of the peak at the last step that there is.
    assert cut[-1]["lr"] == pytest.approx(SETTINGS.lr / 10)
