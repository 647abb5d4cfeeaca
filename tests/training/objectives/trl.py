"""TRL's own loss code on given log-probabilities: the real `DPOTrainer._compute_loss`, its model answers them."""

from collections import defaultdict
from types import SimpleNamespace

import torch
from trl.trainer.dpo_trainer import DPOTrainer


class _Local:
    """One process: gathering gives back what was put in."""

    device = torch.device("cpu")

    def gather(self, tensor):
        return tensor

    gather_for_metrics = gather


class _Answers:
    """A model that answers with the log-probabilities that it was given, whatever it is asked."""

    training = True

    def __init__(self, logps_2BT):
        zeros = torch.zeros_like(logps_2BT)
        self._outputs = SimpleNamespace(log_probs=logps_2BT, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())

    def __call__(self, **inputs):
        return self._outputs


def trl_loss(loss_type, view, *, beta, label_smoothing=0.0):
    """() TRL's batch loss; one prompt token stands before each response, as in its own collator."""
    trainer = object.__new__(DPOTrainer)
    trainer.accelerator = _Local()
    trainer.args = SimpleNamespace()
    trainer.beta, trainer.label_smoothing = beta, label_smoothing
    trainer.loss_types, trainer.loss_weights = [loss_type], [1.0]
    trainer.f_divergence_type, trainer.ld_alpha, trainer.use_weighting = "reverse_kl", None, False
    trainer.aux_loss_enabled, trainer.precompute_ref_logps = False, True
    trainer._metrics = {"train": defaultdict(list)}
    trainer._total_train_tokens, trainer._tp_size = 0, 1
    masks = torch.cat([view.chosen_mask, view.rejected_mask])
    logps = torch.cat([view.chosen, view.rejected])
    # The fused head answers zero outside the completion, because it is given the labels.
    model = _Answers(torch.where(masks, logps, torch.zeros_like(logps)))
    trainer.model = model
    completion_mask = torch.nn.functional.pad(masks.long(), (1, 0))
    inputs = {
        "input_ids": torch.ones_like(completion_mask),
        "attention_mask": torch.ones_like(completion_mask),
        "completion_mask": completion_mask,
        "ref_chosen_logps": (view.ref_chosen.nan_to_num(0) * view.chosen_mask).sum(-1),
        "ref_rejected_logps": (view.ref_rejected.nan_to_num(0) * view.rejected_mask).sum(-1),
    }
    return trainer._compute_loss(model, inputs, return_outputs=False)
