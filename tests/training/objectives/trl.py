"""TRL's own loss code on given log-probabilities: the real trainers' methods, their model answers them."""

from collections import defaultdict
from types import SimpleNamespace

import torch
from trl.experimental.gkd.gkd_trainer import GKDTrainer
from trl.experimental.orpo.orpo_trainer import ORPOTrainer
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer


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


class _AnswersTwice(_Answers):
    """Answers the mismatched texts, which are one token longer, with log-probabilities of their own."""

    def __init__(self, logps_2BT, crossed_2B):
        super().__init__(logps_2BT)
        self._places = logps_2BT.shape[1] + 1
        self._crossed = torch.nn.functional.pad(crossed_2B[:, None], (logps_2BT.shape[1], 0))

    def __call__(self, **inputs):
        if inputs["input_ids"].shape[1] == self._places:
            return self._outputs
        return SimpleNamespace(log_probs=self._crossed)


def kto_loss(view, crossed_2B, *, beta, desirable, undesirable):
    """() TRL's batch loss on both sides of the pairs, each judged by itself. crossed_2B: log p of mismatched answers,
    of which its reference thinks zero."""
    trainer = object.__new__(KTOTrainer)
    trainer.accelerator, trainer.args = _Local(), SimpleNamespace()
    trainer.beta, trainer.desirable_weight, trainer.undesirable_weight = beta, desirable, undesirable
    trainer.loss_type, trainer.calculate_KL = "kto", True
    trainer.aux_loss_enabled, trainer.precompute_ref_logps = False, True
    trainer._metrics, trainer._total_train_tokens, trainer._tp_size = {"train": defaultdict(list)}, 0, 1
    masks = torch.cat([view.chosen_mask, view.rejected_mask])
    logps = torch.cat([view.chosen, view.rejected])
    logps = torch.where(masks, logps, torch.zeros_like(logps))
    model = _AnswersTwice(logps, crossed_2B)
    trainer.model = model
    completion = torch.nn.functional.pad(masks.long(), (1, 0))
    crossed = torch.ones(len(logps), logps.shape[1] + 2, dtype=torch.long)
    references = torch.cat([view.ref_chosen, view.ref_rejected]).nan_to_num(0) * masks
    inputs = {
        "input_ids": torch.ones_like(completion),
        "attention_mask": torch.ones_like(completion),
        "completion_mask": completion,
        "KL_input_ids": crossed,
        "KL_attention_mask": crossed,
        "KL_completion_mask": crossed,
        "ref_logps": references.sum(-1),
        "ref_KL_logps": torch.zeros_like(crossed_2B),
        "label": torch.tensor([True] * len(view.chosen) + [False] * len(view.chosen)),
    }
    return trainer._compute_loss(model, inputs, return_outputs=False)


def odds_ratio_term(chosen_B, rejected_B, weight):
    """(B,) what TRL's ORPO adds to the likelihood, from mean token log-probabilities; it counts in float32."""
    trainer = object.__new__(ORPOTrainer)
    trainer.beta, trainer.accelerator = weight, _Local()
    return -trainer.odds_ratio_loss(chosen_B, rejected_B)[0]


def trl_loss(loss_type, view, *, beta, label_smoothing=0.0, weights=None):
    """() TRL's batch loss; one prompt token stands before each response, as in its own collator."""
    trainer = object.__new__(DPOTrainer)
    trainer.accelerator = _Local()
    trainer.args = SimpleNamespace()
    trainer.beta, trainer.label_smoothing = beta, label_smoothing
    trainer.loss_types = loss_type.split("+")
    trainer.loss_weights = weights or [1.0] * len(trainer.loss_types)
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


def forward_divergence(student_TC, teacher_TC):
    """() TRL's divergence of distillation at its end KL(teacher || student), a mean over tokens."""
    return GKDTrainer.generalized_jsd_loss(student_TC[None], teacher_TC[None], torch.zeros(1, len(student_TC)), beta=0)
