"""What is true of every objective, and of every objective that declares a trait."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest
import torch
from rejoinder.core.errors import BadSettings, UnknownRow
from rejoinder.training import objectives
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.views import PairLogps

HELPERS = {"__init__", "params"}


@pytest.fixture(params=list(OBJECTIVES))
def row(request):
    return OBJECTIVES[request.param]


def loss_of(row, view, **params):
    return row.make(view, row.with_params(params))


def take(view, index):
    return PairLogps(**{f.name: getattr(view, f.name)[index] for f in dataclasses.fields(view)})


def leaf(view):
    """The same view with the policy as leaves, and zero instead of NaN under the mask."""
    return dataclasses.replace(
        view,
        chosen=view.chosen.nan_to_num(0).requires_grad_(),
        rejected=view.rejected.nan_to_num(0).requires_grad_(),
    )


def test_every_file_of_the_folder_is_a_row_and_has_its_own_test():
    folder = Path(objectives.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - HELPERS
    assert files == set(OBJECTIVES)
    assert all((Path(__file__).parent / f"test_{name}.py").exists() for name in files)


def test_a_row_cites_its_paper_and_says_what_it_promises(row):
    assert row.paper
    assert row.claim.endswith(".")
    assert row.traits["view"] is PairLogps
    assert set(row.traits["needs"]) <= {"reference"}


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
def test_one_finite_number_a_pair_in_the_dtype_given_whatever_lies_under_the_mask(row, make_view, dtype):
    view = make_view(dtype=dtype)
    loss = loss_of(row, view)
    assert view.chosen.isnan().any()
    assert loss.per_example.shape == (7,)
    assert loss.per_example.dtype == dtype
    assert loss.per_example.isfinite().all()
    assert all(value.shape == (7,) and not value.requires_grad for value in loss.metrics.values())


def test_padding_changes_nothing(row, make_view):
    view = make_view()

    def pad(tensor, value):
        return torch.nn.functional.pad(tensor, (2, 3), value=value)

    padded = dataclasses.replace(
        view,
        **{n: pad(getattr(view, n), 7.0) for n in ("chosen", "rejected", "ref_chosen", "ref_rejected")},
        **{n: pad(getattr(view, n), False) for n in ("chosen_mask", "rejected_mask")},
    )
    torch.testing.assert_close(loss_of(row, padded).per_example, loss_of(row, view).per_example, rtol=1e-13, atol=1e-13)


def test_a_pair_is_judged_alone(row, make_view):
    view = make_view()
    alone = torch.cat([loss_of(row, take(view, slice(i, i + 1))).per_example for i in range(7)])
    torch.testing.assert_close(loss_of(row, view).per_example, alone, rtol=1e-13, atol=1e-13)


def test_weights_are_the_loops_business(row, make_view):
    view = make_view()
    heavier = dataclasses.replace(view, weight=view.weight * 9)
    assert torch.equal(loss_of(row, view).per_example, loss_of(row, heavier).per_example)


def test_the_gradient_is_the_one_that_finite_differences_give(row, make_view):
    view = leaf(make_view(pairs=3, tokens=4))

    def per_example(chosen, rejected):
        return loss_of(row, dataclasses.replace(view, chosen=chosen, rejected=rejected)).per_example

    assert torch.autograd.gradcheck(per_example, (view.chosen, view.rejected), eps=1e-6, atol=1e-7)


def test_no_gradient_reaches_a_token_outside_the_response(row, make_view):
    view = leaf(make_view())
    loss_of(row, view).per_example.sum().backward()
    assert (view.chosen.grad[~view.chosen_mask] == 0).all()
    assert (view.chosen.grad[view.chosen_mask] != 0).any()


def test_the_rejected_side_is_read_exactly_where_the_row_is_contrastive(row, make_view):
    view = make_view()
    moved = dataclasses.replace(view, rejected=view.rejected - 0.5)
    same = torch.allclose(loss_of(row, view).per_example, loss_of(row, moved).per_example)
    assert same is not row.traits["contrastive"]


def test_the_reference_is_read_exactly_where_the_row_needs_it(row, make_view):
    view = dataclasses.replace(make_view(), ref_chosen=None, ref_rejected=None)
    if row.traits["needs"]:
        with pytest.raises(TypeError, match="reference"):
            loss_of(row, view)
    else:
        assert loss_of(row, view).per_example.isfinite().all()


def test_a_row_says_what_it_costs_where_the_policy_is_its_reference(row, make_view):
    """Each family has its own value there; a row without one must not read the reference at all."""
    view, expected = make_view(), row.traits["at_reference"]
    if expected is None:
        assert not row.traits["needs"]
        return
    at_reference = dataclasses.replace(view, ref_chosen=view.chosen, ref_rejected=view.rejected)
    value = torch.full((7,), expected(row.with_params()), dtype=torch.float64)
    torch.testing.assert_close(loss_of(row, at_reference).per_example, value)


def test_raising_the_chosen_log_probability_lowers_the_loss_exactly_where_the_row_is_monotone(row, make_view):
    """IPO is not monotone: past its target margin, more is worse. A row that denies the trait must show a witness."""
    lowered = []
    for seed in range(5):
        view = leaf(make_view(seed))
        far = dataclasses.replace(view, chosen=(view.chosen.detach() + 3 * seed).requires_grad_())
        loss_of(row, far).per_example.sum().backward()
        lowered.append(bool((far.chosen.grad[far.chosen_mask] < 0).all()))
    assert all(lowered) is row.traits["monotone"]


def test_saying_every_token_twice_changes_nothing_exactly_where_the_row_is_length_normalised(row, make_view):
    view = make_view()
    names = ("chosen", "rejected", "ref_chosen", "ref_rejected", "chosen_mask", "rejected_mask")
    doubled = dataclasses.replace(view, **{n: getattr(view, n).repeat_interleave(2, dim=1) for n in names})
    same = torch.allclose(loss_of(row, view).per_example, loss_of(row, doubled).per_example, rtol=1e-12)
    assert same is row.traits["length_normalised"]


def test_the_flip_probability_is_read_exactly_where_the_row_says_so(row, make_view):
    view = make_view()
    other = dataclasses.replace(view, eps=torch.full_like(view.eps, 0.45))
    same = torch.equal(loss_of(row, view).per_example, loss_of(row, other).per_example)
    assert same is not row.traits["reads_eps"]


def test_a_row_imports_neither_logger_nor_settings_nor_device(row):
    source = Path(importlib.util.find_spec(row.make.__module__).origin).read_text()
    assert not any(word in source for word in ("logging", "os.environ", "cuda", ".to(device", "settings"))
