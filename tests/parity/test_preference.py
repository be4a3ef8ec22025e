"""Our preference losses against TRL's trainers, on trainers that train not.

TRL has no function for a loss: its trainers compute it on the way. Each test
calls that method on a stand-in with the fields it reads, and with a "model"
that returns the token log-probabilities we drew. The loss and its gradient at
every token are compared.
"""

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from trl import DPOTrainer, GRPOTrainer, KTOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

from snippets import preference

PAIRS, LENGTH, PROMPT = 7, 12, 3


class Answers:
    """Token log-probabilities of random answers of different lengths."""

    def __init__(self, n: int, generator: torch.Generator) -> None:
        shape = (n, LENGTH - 1)
        ends = torch.randint(
            PROMPT + 1, LENGTH + 1, (n,), generator=generator
        )
        place = torch.arange(LENGTH)
        self.mask = ((place >= PROMPT) & (place < ends[:, None])).long()
        draw = torch.rand(2, *shape, generator=generator).double()
        policy, self.reference = 2 * draw.log() * self.mask[:, 1:]
        self.policy = policy.requires_grad_()
        self.count = self.mask.sum(-1)

    @property
    def rho(self) -> Tensor:
        """Log-ratio of each whole answer."""
        return (self.policy - self.reference).sum(-1)

    @property
    def mean(self) -> Tensor:
        """Mean log-probability of a token of each answer."""
        return self.policy.sum(-1) / self.count

    def inputs(self) -> dict[str, Tensor]:
        """Hand over what a trainer's collator would."""
        return {
            "input_ids": torch.ones_like(self.mask),
            "attention_mask": torch.ones_like(self.mask),
            "completion_mask": self.mask,
        }


def replies(log_probs: Tensor):
    """Build a model that says these token log-probabilities."""
    zeros = torch.zeros_like(log_probs)

    def model(**_):
        return SimpleNamespace(
            log_probs=log_probs, entropy=zeros, mean_logits=zeros,
            is_top1=zeros.bool(),
        )  # fmt: skip

    return model


def trainer(**fields):
    """Stand in for a trainer: one process, no adapters, these fields."""
    same = lambda x: x  # noqa: E731
    return SimpleNamespace(
        model=SimpleNamespace(
            training=False, is_gradient_checkpointing=False
        ),
        accelerator=SimpleNamespace(
            device="cpu",
            gather=same,
            gather_for_metrics=same,
            reduce=lambda x, reduction: x,
        ),
        args=SimpleNamespace(gradient_checkpointing_kwargs=None, delta=None),
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        aux_loss_enabled=False,
        precompute_ref_logps=False,
        **fields,
    )


def agree(ours: Tensor, theirs: Tensor, tokens: Tensor, atol: float = 1e-12):
    """Compare a loss and its slope at every token."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)
    slopes = [
        torch.autograd.grad(loss, tokens, retain_graph=True)[0]
        for loss in (ours, theirs)
    ]
    assert slopes[1].abs().max() > 0
    torch.testing.assert_close(*slopes, rtol=0, atol=atol)


def their_dpo(answers: Answers, loss_type: str, beta: float) -> Tensor:
    stub = trainer(
        beta=beta, loss_types=[loss_type], loss_weights=[1.0],
        ld_alpha=None, use_weighting=False, f_divergence_type="reverse_kl",
        ref_model=replies(answers.reference),
    )  # fmt: skip
    model = replies(answers.policy)
    return DPOTrainer._compute_loss(stub, model, answers.inputs(), False)


@pytest.mark.parity(
    ours="preference.dpo_loss",
    theirs="TRL: DPOTrainer, loss_type=sigmoid",
    convention="log-probabilities summed over the answer; mean over pairs",
    tolerance="1e-12, float64, and of the slopes",
)
def test_dpo(generator) -> None:
    both = Answers(2 * PAIRS, generator)
    chosen, rejected = both.rho.chunk(2)
    ours = preference.dpo_loss(chosen - rejected, 0.3).mean()
    agree(ours, their_dpo(both, "sigmoid", 0.3), both.policy)


@pytest.mark.parity(
    ours="preference.hinge_loss",
    theirs="TRL: DPOTrainer, loss_type=hinge",
    convention="log-probabilities summed over the answer; mean over pairs",
    tolerance="1e-12, float64, and of the slopes",
)
def test_hinge(generator) -> None:
    both = Answers(2 * PAIRS, generator)
    chosen, rejected = both.rho.chunk(2)
    ours = preference.hinge_loss(chosen - rejected, 0.03).mean()
    agree(ours, their_dpo(both, "hinge", 0.03), both.policy)


@pytest.mark.parity(
    ours="preference.ipo_loss",
    theirs="TRL: DPOTrainer, loss_type=ipo",
    convention="each log-ratio divided by the answer's length first",
    tolerance="1e-12, float64, and of the slopes",
)
def test_ipo(generator) -> None:
    both = Answers(2 * PAIRS, generator)
    chosen, rejected = (both.rho / both.count).chunk(2)
    ours = preference.ipo_loss(chosen - rejected, 0.2).mean()
    theirs = their_dpo(both, "ipo", 0.2)
    agree(ours, theirs, both.policy)
    chosen, rejected = both.rho.chunk(2)  # the paper's, not divided
    undivided = preference.ipo_loss(chosen - rejected, 0.2).mean()
    assert (undivided - theirs).abs() > 1e-3


@pytest.mark.parity(
    ours="preference.kto_loss",
    theirs="TRL: KTOTrainer",
    convention="z0 from mismatched pairs, at least 0, without gradient",
    tolerance="1e-12, float64, and of the slopes",
)
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_kto(generator, shift: float) -> None:
    """`shift` moves z0 to where it is clamped, or not."""
    answers, other = (Answers(PAIRS, generator) for _ in range(2))
    other.reference = other.reference - shift
    good = torch.arange(PAIRS) % 3 > 0
    inputs = answers.inputs() | {
        "label": good,
        "KL_input_ids": torch.ones_like(other.mask),
        "KL_attention_mask": torch.ones_like(other.mask),
        "KL_completion_mask": other.mask,
    }

    def model(of_answers: Tensor, of_others: Tensor):
        """Answer first for the mismatched pairs, as they do."""
        calls = iter([replies(of_others), replies(of_answers)])
        return lambda **options: next(calls)(**options)

    stub = trainer(
        beta=0.2, loss_type="kto", calculate_KL=True, desirable_weight=1.3,
        undesirable_weight=0.9,
        ref_model=model(answers.reference, other.reference),
    )  # fmt: skip
    stub._compute_kl_logps = lambda *a: KTOTrainer._compute_kl_logps(stub, *a)
    theirs = KTOTrainer._compute_loss(
        stub, model(answers.policy, other.policy), inputs, False
    )
    z0 = preference.reference_point(other.rho)
    ours = preference.kto_loss(answers.rho, good, z0, 0.2, (1.3, 0.9))
    agree(ours.mean(), theirs, answers.policy)


@pytest.mark.parity(
    ours="preference.orpo_loss",
    theirs="TRL: ORPOTrainer.odds_ratio_loss",
    convention="mean log-probabilities; SFT term of the answer alone",
    tolerance="1e-5, they compute in float32",
)
def test_orpo(generator) -> None:
    both = Answers(2 * PAIRS, generator)
    chosen, rejected = both.mean.chunk(2)
    log_sigmoid = ORPOTrainer.odds_ratio_loss(
        trainer(beta=0.4), chosen, rejected
    )[0]
    theirs = -chosen - log_sigmoid  # as get_batch_loss_metrics adds them
    ours = preference.orpo_loss(chosen, rejected, 0.4)
    agree(ours.mean(), theirs.mean(), both.policy, 1e-5)


@pytest.mark.parity(
    ours="preference.simpo_loss",
    theirs="TRL: CPOTrainer.cpo_loss, loss_type=simpo",
    convention="mean log-probabilities; gamma, not gamma / beta",
    tolerance="1e-12, float64, and of the slopes",
)
def test_simpo(generator) -> None:
    both = Answers(2 * PAIRS, generator)
    chosen, rejected = both.mean.chunk(2)
    stub = trainer(
        beta=2.5, simpo_gamma=1.1, alpha=0.0, loss_type="simpo",
        label_smoothing=0,
    )  # fmt: skip
    theirs = CPOTrainer.cpo_loss(stub, chosen, rejected)[0]
    ours = preference.simpo_loss(chosen, rejected, 2.5, 1.1)
    agree(ours.mean(), theirs.mean(), both.policy)


@pytest.mark.parity(
    ours="preference.clipped_loss",
    theirs="TRL: GRPOTrainer, loss_type=grpo",
    convention="answers of one token; epsilon 0.2 both ways; beta 0",
    tolerance="1e-12, float64, and of the slopes",
)
def test_clipped(generator) -> None:
    draw = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    old, advantages = draw[0] - 3, draw[1]
    policy = (old + 0.3 * draw[2]).requires_grad_()
    stub = trainer(
        beta=0.0, loss_type="grpo", importance_sampling_level="token",
        epsilon_low=0.2, epsilon_high=0.2, top_entropy_quantile=1.0,
        off_policy_mask_threshold=None, use_vllm=False,
        _entropy_bonus_enabled=False,
    )  # fmt: skip
    stub._get_per_token_logps_and_entropies = lambda *_, **__: (
        policy[:, None], torch.zeros(40, 1), None
    )  # fmt: skip
    ones = torch.ones(40, 1, dtype=torch.long)
    inputs = {
        "prompt_ids": ones, "prompt_mask": ones, "completion_ids": ones,
        "completion_mask": ones, "advantages": advantages,
        "old_per_token_logps": old[:, None],
    }  # fmt: skip
    theirs = GRPOTrainer._compute_loss(stub, None, inputs)
    ours = preference.clipped_loss(policy - old, advantages).mean()
    agree(ours, theirs, policy)
