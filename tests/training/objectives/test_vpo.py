import torch
from rejoinder.training.objectives import dpo, vpo


def test_without_a_value_it_is_dpo(make_view):
    view = make_view()
    torch.testing.assert_close(
        vpo.loss(view, vpo.Params(beta=0.3, alpha=0.0)).per_example,
        dpo.loss(view, dpo.Params(beta=0.3)).per_example,
        rtol=0,
        atol=0,
    )


def test_pessimism_raises_the_calibration_answers_by_alpha_times_beta(make_view):
    """The sign: d loss / d log p(y_w) is DPO's less alpha * beta, and the rejected side's is DPO's own."""
    grads = []
    for compute in (
        lambda v: vpo.loss(v, vpo.Params(beta=0.3, alpha=0.5)),
        lambda v: dpo.loss(v, dpo.Params(beta=0.3)),
    ):
        view = make_view(lengths=[1] * 7)
        view.chosen.requires_grad_()
        view.rejected.requires_grad_()
        compute(view).per_example.sum().backward()
        grads.append((view.chosen.grad[:, 0], view.rejected.grad[:, 0]))
    torch.testing.assert_close(grads[0][0], grads[1][0] - 0.5 * 0.3, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grads[0][1], grads[1][1], rtol=1e-12, atol=1e-12)
