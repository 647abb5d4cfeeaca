"""What is true of every objective, and of every objective that declares a trait."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest
import torch
from rejoinder.core.errors import BadSettings, UnknownRow
from rejoinder.training import objectives
from rejoinder.training.feeds import FED_BY, FEEDS
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.views import Responses

HELPERS = {"__init__", "params"}
TAUGHT = ("student", "teacher", "before")


@pytest.fixture(params=list(OBJECTIVES))
def row(request):
    return OBJECTIVES[request.param]


def loss_of(row, responses, **params):
    return row.make(row.traits["view"].of(responses), row.with_params(params))


def take(responses, index):
    given = {f.name: getattr(responses, f.name) for f in dataclasses.fields(responses)}
    return Responses(**{name: value[index] if value.dim() else value for name, value in given.items()})


def leaf(responses):
    """The same with the policy as a leaf, and zero instead of NaN under the mask."""
    return dataclasses.replace(responses, logps=responses.logps.nan_to_num(0).requires_grad_())


def moved(responses, side, by):
    """One side's log-probabilities, 0 the chosen and 1 the rejected, raised by so many nats a token."""
    shift = torch.zeros_like(responses.logps)
    shift[:, side] = by
    return dataclasses.replace(responses, logps=responses.logps + shift)


def test_every_file_of_the_folder_is_a_row_and_has_its_own_test():
    folder = Path(objectives.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - HELPERS
    assert files == set(OBJECTIVES)
    assert all((Path(__file__).parent / f"test_{name}.py").exists() for name in files)


def test_a_row_cites_its_paper_and_says_what_it_promises(row):
    assert row.paper
    assert row.claim.endswith(".")
    assert row.traits["feed"] in FED_BY
    assert set(row.traits["needs"]) <= {"reference", "divergence", "no_history", "teacher"}


def test_what_a_row_reads_is_known_without_torch():
    assert {name: row.traits["feed"] for name, row in OBJECTIVES.items()} == dict(FEEDS)


def test_parameters_are_frozen_and_state_range_unit_and_the_papers_value(row):
    params = row.with_params()
    assert type(params).__dataclass_params__.frozen
    for field in dataclasses.fields(params):
        assert field.metadata["unit"]
        assert field.metadata["paper"]
        with pytest.raises(BadSettings):
            row.with_params({field.name: field.metadata["high"]})
        with pytest.raises(BadSettings):
            row.with_params({field.name: field.metadata["low"] - 1e-3})


def test_an_unknown_name_lists_the_known_ones_and_an_unknown_parameter_is_a_type_error(row):
    with pytest.raises(UnknownRow, match="rdpo"):
        OBJECTIVES["no-such"]
    with pytest.raises(TypeError):
        row.with_params({"no_such": 1})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_finite_number_a_pair_in_the_dtype_given_whatever_lies_under_the_mask(row, make_responses, dtype):
    view = make_responses(dtype=dtype)
    loss = loss_of(row, view)
    assert view.logps.isnan().any()
    assert loss.per_example.shape == (7,)
    assert loss.per_example.dtype == dtype
    assert loss.per_example.isfinite().all()
    assert all(value.shape == (7,) and not value.requires_grad for value in loss.metrics.values())


def test_padding_changes_nothing(row, make_responses):
    view = make_responses()

    def pad(tensor, value):
        return torch.nn.functional.pad(tensor, (2, 3), value=value)

    def pad_outcomes(tensor):
        return torch.nn.functional.pad(tensor, (0, 0, 2, 3), value=7.0)

    padded = dataclasses.replace(
        view,
        logps=pad(view.logps, 7.0),
        reference=pad(view.reference, 7.0),
        mask=pad(view.mask, False),
        without=pad(view.without, 7.0),
        effect=pad(view.effect, 7.0),
        **{name: pad_outcomes(getattr(view, name)) for name in TAUGHT},
    )
    torch.testing.assert_close(loss_of(row, padded).per_example, loss_of(row, view).per_example, rtol=1e-13, atol=1e-13)


def test_a_pair_is_judged_alone(row, make_responses):
    view = make_responses()
    alone = torch.cat([loss_of(row, take(view, slice(i, i + 1))).per_example for i in range(7)])
    torch.testing.assert_close(loss_of(row, view).per_example, alone, rtol=1e-13, atol=1e-13)


def test_weights_are_the_loops_business(row, make_responses):
    view = make_responses()
    heavier = dataclasses.replace(view, weight=view.weight * 9)
    assert torch.equal(loss_of(row, view).per_example, loss_of(row, heavier).per_example)


def test_the_gradient_is_the_one_that_finite_differences_give(row, make_responses):
    responses = leaf(make_responses(pairs=3, tokens=4))

    def per_example(logps):
        return loss_of(row, dataclasses.replace(responses, logps=logps)).per_example

    assert torch.autograd.gradcheck(per_example, (responses.logps,), eps=1e-6, atol=1e-7)


def test_no_gradient_reaches_a_token_outside_the_response(row, make_responses):
    responses = leaf(make_responses())
    loss_of(row, responses).per_example.sum().backward()
    assert (responses.logps.grad[~responses.mask] == 0).all()
    assert (responses.logps.grad[:, 0][responses.mask[:, 0]] != 0).any()


def test_the_rejected_side_is_read_exactly_where_the_row_is_contrastive(row, make_responses):
    view = make_responses()
    other = moved(view, 1, -0.5)
    same = torch.allclose(loss_of(row, view).per_example, loss_of(row, other).per_example)
    assert same is not row.traits["contrastive"]


def test_the_reference_is_read_exactly_where_the_row_needs_it(row, make_responses):
    view = dataclasses.replace(make_responses(), reference=None)
    if "reference" in row.traits["needs"]:
        with pytest.raises(TypeError, match="reference"):
            loss_of(row, view)
    else:
        assert loss_of(row, view).per_example.isfinite().all()


def test_what_a_row_does_not_say_it_needs_it_does_not_read(row, make_responses):
    shown = {"reference": ("reference",), "divergence": ("divergence",), "no_history": ("without", "effect")}
    shown["teacher"] = TAUGHT
    absent = {name: None for need, names in shown.items() if need not in row.traits["needs"] for name in names}
    view = make_responses()
    found = loss_of(row, dataclasses.replace(view, **absent)).per_example
    assert torch.equal(found, loss_of(row, view).per_example)
    for name in (n for need in row.traits["needs"] for n in shown[need]):
        with pytest.raises(TypeError, match="declare"):
            loss_of(row, dataclasses.replace(view, **{name: None}))


def test_a_row_says_what_it_costs_where_the_policy_is_its_reference(row, make_responses):
    """Each family has its own value there; a row without one must not read the reference at all."""
    given, expected = make_responses(divergence=0.0), row.traits["at_reference"]
    if expected is None:
        assert "reference" not in row.traits["needs"]
        return
    given = dataclasses.replace(given, reference=given.logps)
    value = expected(row.with_params(), row.traits["view"].of(given))
    value = torch.as_tensor(value, dtype=torch.float64).expand(7)
    torch.testing.assert_close(loss_of(row, given).per_example, value)


def test_raising_the_chosen_log_probability_lowers_the_loss_exactly_where_the_row_is_monotone(row, make_responses):
    """IPO is not monotone: past its target margin, more is worse. A row that denies the trait must show a witness."""
    lowered = []
    for seed in range(5):
        far = leaf(moved(make_responses(seed), 0, 3 * seed))
        loss_of(row, far).per_example.sum().backward()
        lowered.append(bool((far.logps.grad[:, 0][far.mask[:, 0]] < 0).all()))
    assert all(lowered) is row.traits["monotone"]


def test_saying_every_token_twice_changes_nothing_exactly_where_the_row_is_length_normalised(row, make_responses):
    view = make_responses()
    names = ("logps", "reference", "mask", "without", "effect", *TAUGHT)
    doubled = dataclasses.replace(view, **{n: getattr(view, n).repeat_interleave(2, dim=2) for n in names})
    same = torch.allclose(loss_of(row, view).per_example, loss_of(row, doubled).per_example, rtol=1e-12)
    assert same is row.traits["length_normalised"]


def test_the_flip_probability_is_read_exactly_where_the_row_says_so(row, make_responses):
    view = make_responses()
    other = dataclasses.replace(view, eps=torch.full_like(view.eps, 0.45))
    same = torch.equal(loss_of(row, view).per_example, loss_of(row, other).per_example)
    assert same is not row.traits["reads_eps"]


def test_a_row_imports_neither_logger_nor_settings_nor_device(row):
    source = Path(importlib.util.find_spec(row.make.__module__).origin).read_text()
    assert not any(word in source for word in ("logging", "os.environ", "cuda", ".to(device", "settings"))
