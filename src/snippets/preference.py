"""Learning from preferences: one loss per method, and toys to push on.

Papers:

- [DPO] Rafailov et al. 2023, Direct Preference Optimization
  (arXiv 2305.18290)
- [IPO] Gheshlaghi Azar et al. 2024, A General Theoretical Paradigm to
  Understand Learning from Human Preferences (arXiv 2310.12036)
- [KTO] Ethayarajh et al. 2024, KTO: Model Alignment as Prospect Theoretic
  Optimization (arXiv 2402.01306)
- [ORPO] Hong et al. 2024 (arXiv 2403.07691)
- [SimPO] Meng et al. 2024 (arXiv 2405.14734)
- [Razin] Razin et al. 2025, Unintentional Unalignment (arXiv 2410.08847)
- [GRPO] Shao et al. 2024, DeepSeekMath (arXiv 2402.03300)

Names::

    code       paper              meaning, shape
    h          h_pi [IPO]         margin: log-ratio of the chosen answer minus
                                  that of the rejected one, (pairs,)
    rho        r_theta [KTO]      log-ratio log pi(y|x) / pi_ref(y|x), (n,)
    chosen,    log P / |y|        mean log-probability of a token, (pairs,)
    rejected     [ORPO, SimPO]
    tau        tau [IPO]          what everybody else calls beta
    z0         z_0 [KTO]          reference point
    U          unembedding        a row per token, (V, d)
    gold       r                  what an answer is worth, (prompts, K)

A loss takes numbers of whole answers and returns one number per pair or
answer; trainers average them. What differs from TRL: its IPO divides each
log-ratio by the answer's length first, its ORPO prints the odds-ratio term
without sign, its SimPO is `CPOTrainer` with a weight of 0 on the SFT term.
GRPO's loss is that of an answer of one token; the paper clips at each token,
averages over them and subtracts a KL penalty. TRL divides its advantages by
the sample's standard deviation plus 1e-4.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from snippets.arguments import expect
from snippets.constitution import tilt

Loss = Callable[[Tensor], Tensor]


# Losses on a margin


def dpo_loss(h: Tensor, beta: Tensor | float) -> Tensor:
    """Make the chosen answer likelier, and never be done ([DPO] Eq. 7)."""
    return -logsigmoid(beta * h)


def ipo_loss(h: Tensor, tau: Tensor | float) -> Tensor:
    """Hit a margin of 1 / (2 tau) ([IPO] Eq. 17)."""
    return (h - 1 / (2 * tau)) ** 2


def hinge_loss(h: Tensor, beta: Tensor | float) -> Tensor:
    """Reach a margin of 1 / beta, then stop caring."""
    return relu(1 - beta * h)


def psi_margin(
    p: Tensor, psi: Callable[[Tensor], Tensor], tau: float
) -> Tensor:
    """Solve for the best margin of two answers ([IPO] Eq. 7, Section 5.3.1).

    The policy that maximizes E[psi(probability to win)] - tau KL tilts the
    reference by that expectation over the opponent.

    Args:
        p: probability that the first answer beats the second.
        psi: `torch.logit` for RLHF and DPO, the identity for IPO.
        tau: strength of the KL penalty, above 0.

    """
    half = torch.full_like(p, 0.5)  # each meets itself half of the time
    wins = torch.stack([psi(p) + psi(half), psi(1 - p) + psi(half)], -1)
    rho = tilt(torch.stack([half, half], -1), wins / 2, tau).log()
    return rho[..., 0] - rho[..., 1]


# Losses on single answers


def reference_point(rho: Tensor) -> Tensor:
    """Estimate z0 from mismatched prompts and answers ([KTO] Section 4).

    Returns:
        The mean log-ratio, at least 0; no gradient flows into it.

    """
    expect(rho.numel() > 0, "log-ratios of at least one pair", "none")
    return rho.mean().clamp(min=0).detach()


def kto_loss(
    rho: Tensor,
    good: Tensor,
    z0: Tensor | float,
    beta: Tensor | float,
    weights: tuple[float, float] = (1.0, 1.0),
) -> Tensor:
    """Move good answers above z0 and bad ones below ([KTO] Section 4).

    Args:
        rho: log-ratio of each answer, (n,).
        good: whether it got a thumb up, (n,), bool.
        z0: from `reference_point`.
        beta: how fast satisfaction saturates.
        weights: lambda of good and of bad answers.

    """
    up = weights[0] * (1 - torch.sigmoid(beta * (rho - z0)))
    down = weights[1] * (1 - torch.sigmoid(beta * (z0 - rho)))
    return torch.where(good, up, down)


# Losses without a reference


def log_odds(mean_logp: Tensor) -> Tensor:
    """Turn a log-probability into log P / (1 - P).

    It stays finite at P = 1, where the odds don't.
    """
    expect(bool((mean_logp <= 0).all()), "log-probabilities", mean_logp)
    tiny = torch.finfo(mean_logp.dtype).tiny
    logp = mean_logp.clamp(max=-tiny)
    return logp - torch.log(-torch.expm1(logp))


def orpo_loss(chosen: Tensor, rejected: Tensor, lam: float) -> Tensor:
    """Finetune on the chosen answer, and contrast odds ([ORPO] Eq. 6, 7).

    Args:
        chosen, rejected: mean log-probability of a token, (pairs,).
        lam: weight of the contrast.

    """
    contrast = logsigmoid(log_odds(chosen) - log_odds(rejected))
    return -chosen - lam * contrast


def simpo_loss(
    chosen: Tensor, rejected: Tensor, beta: Tensor | float, gamma: float
) -> Tensor:
    """Contrast mean log-probabilities, with a target ([SimPO] Section 2.3).

    Args:
        chosen, rejected: mean log-probability of a token, (pairs,).
        beta: scale, much larger than DPO's.
        gamma: margin that the scaled difference should exceed.

    """
    return -logsigmoid(beta * (chosen - rejected) - gamma)


# Scores instead of verdicts


def group_advantages(rewards: Tensor) -> Tensor:
    """Score each answer against its group ([GRPO] Section 4.1).

    Args:
        rewards: of answers to the same prompt, (..., group). At least two,
            and not all alike.

    """
    expect(rewards.shape[-1] > 1, "a group of 2 or more", rewards.shape)
    centered = rewards - rewards.mean(-1, keepdim=True)
    std = rewards.std(-1, keepdim=True, correction=0)
    expect(bool((std > 0).all()), "rewards that differ", rewards.tolist())
    return centered / std


def clipped_loss(
    step: Tensor, advantage: Tensor | float, epsilon: float = 0.2
) -> Tensor:
    """Follow the advantage until the policy has moved enough (PPO, GRPO).

    Args:
        step: log-probability of an answer now, minus what it was when the
            answer was sampled, (n,).
        advantage: from `group_advantages`.
        epsilon: how far the ratio of both may leave 1.

    """
    ratio = step.exp()
    clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
    return -torch.minimum(ratio * advantage, clipped * advantage)


# What a loss does


def push(loss: Loss, at: Tensor) -> Tensor:
    """How hard a loss pushes a margin up: its slope, sign reversed."""
    at = at.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(at).sum(), at)
    return -slope


def two_arms(loss: Loss, runs: int, rate: float, steps: int) -> Tensor:
    """Descend on the logits of two answers, of which one always wins.

    Args:
        loss: of the margins, (runs,). Policy and reference start equal.
        runs: how many policies are trained at once.
        rate: step length of plain gradient descent.
        steps: how many of them.

    Returns:
        The margin before the first step and after each, (steps + 1, runs).

    """
    logits = torch.zeros(runs, 2, dtype=torch.float64)
    margins = [logits[:, 0] - logits[:, 1]]
    toward = logits.new_tensor([1.0, -1.0])
    for _ in range(steps):
        logits = logits + rate * push(loss, margins[-1])[:, None] * toward
        margins.append(logits[:, 0] - logits[:, 1])
    return torch.stack(margins)


# The chosen answer loses


class Head(NamedTuple):
    """Tokens that share a hidden state: logits are U @ hidden."""

    U: Tensor  # (V, d)
    hidden: Tensor  # (d,)

    def log_probs(self) -> Tensor:
        """Log-probability of every token, (V,)."""
        return (self.U @ self.hidden).log_softmax(-1)


def chosen_slope(head: Head, chosen: int, rejected: int) -> Tensor:
    """How log pi(chosen) starts to change when the margin is pushed.

    The inner product <u_c - mean u, u_c - u_r>, with the mean under the
    policy. Below 0 the chosen answer gets *less* likely.
    """
    U, p = head.U, head.log_probs().exp()
    return (U[chosen] - p @ U) @ (U[chosen] - U[rejected])


def displace(
    head: Head, chosen: int, rejected: int, beta: float, rate: float,
    steps: int,
) -> Tensor:  # fmt: skip
    """Train the hidden state by DPO on a single pair of tokens.

    Returns:
        Log-probabilities before the first step and after each,
        (steps + 1, V).

    """
    start = head.log_probs()
    path, U = [start], head.U
    for _ in range(steps):
        hidden = head.hidden.detach().requires_grad_()
        rho = Head(U, hidden).log_probs() - start
        loss = dpo_loss(rho[chosen] - rho[rejected], beta)
        (slope,) = torch.autograd.grad(loss, hidden)
        head = Head(U, head.hidden - rate * slope)
        path.append(head.log_probs())
    return torch.stack(path)


# Whose answers


class Bandits(NamedTuple):
    """Prompts with K answers each, what these are worth, and a reference."""

    gold: Tensor  # (prompts, K)
    reference: Tensor  # log-probabilities, (prompts, K)


def bandits(prompts: int, K: int, generator: torch.Generator) -> Bandits:
    """Draw answers whose worth the reference gets backwards, with noise."""
    gold, noise = torch.randn(
        2, prompts, K, generator=generator, dtype=torch.float64
    )
    return Bandits(gold, (0.7 * (noise - gold)).log_softmax(-1))


def judge(
    policy: Tensor, gold: Tensor, pairs: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Sample pairs of answers from a policy, let Bradley-Terry judge them.

    Args:
        policy: log-probabilities, (prompts, K).
        gold: worth of each answer, (prompts, K).
        pairs: how many for each prompt.
        generator: source of randomness.

    Returns:
        Chosen and rejected answers, both (prompts, pairs).

    """
    a, b = torch.multinomial(
        policy.exp(), 2 * pairs, replacement=True, generator=generator
    ).chunk(2, dim=-1)
    lead = gold.gather(-1, a) - gold.gather(-1, b)
    a_wins = torch.bernoulli(lead.sigmoid(), generator=generator).bool()
    return torch.where(a_wins, a, b), torch.where(a_wins, b, a)


class Run(NamedTuple):
    """A training on labels that are bought in rounds."""

    path: Tensor  # gold and KL after each step, (steps + 1, 2, prompts)
    policy: Tensor  # log-probabilities at the end, (prompts, K)
    verdicts: Tensor  # how many each answer was part of, (prompts, K)


def preference_run(
    task: Bandits,
    rounds: int,
    generator: torch.Generator,
    labels: int = 400,
    steps: int = 320,
    beta: float = 0.3,
) -> Run:
    """Train by DPO on labels that are bought in rounds.

    Each round samples its share of the labels from the policy of the moment
    and trains on all labels so far. One round is offline DPO.
    """
    expect(labels % rounds == steps % rounds == 0, "equal rounds", rounds)
    logits = task.reference.clone().requires_grad_()
    adam = torch.optim.Adam([logits], lr=0.05)
    bought: list[tuple[Tensor, Tensor]] = []
    path = [measure(logits, task)]
    for _ in range(rounds):
        policy = logits.detach().log_softmax(-1)
        bought.append(judge(policy, task.gold, labels // rounds, generator))
        chosen, rejected = (
            torch.cat(answers, -1) for answers in zip(*bought, strict=True)
        )
        for _ in range(steps // rounds):
            rho = logits.log_softmax(-1) - task.reference
            h = rho.gather(-1, chosen) - rho.gather(-1, rejected)
            loss = dpo_loss(h, beta).mean(-1).sum()  # prompts don't share
            (logits.grad,) = torch.autograd.grad(loss, logits)
            adam.step()
            path.append(measure(logits, task))
    verdicts = torch.zeros_like(task.gold)
    seen = torch.cat([chosen, rejected], -1)
    verdicts.scatter_add_(-1, seen, verdicts.new_ones(seen.shape))
    policy = logits.detach().log_softmax(-1)
    return Run(torch.stack(path), policy, verdicts)


def measure(logits: Tensor, task: Bandits) -> Tensor:
    """Mean gold of a policy and its KL from the reference, (2, prompts)."""
    policy = logits.detach().log_softmax(-1)
    p = policy.exp()
    kl = (p * (policy - task.reference)).sum(-1)
    return torch.stack([(p * task.gold).sum(-1), kl])


def best_trade(task: Bandits, betas: Sequence[float]) -> Tensor:
    """Gold and KL of the best policies there are, (betas, 2, prompts).

    No policy has more gold at the same KL: each maximizes gold minus beta
    KL (`snippets.constitution.tilt`).
    """
    reference = task.reference.exp()
    best = [tilt(reference, task.gold, beta).log() for beta in betas]
    return torch.stack([measure(policy, task) for policy in best])


# Exercises


def check_kto_push(
    answer: Callable[[Tensor, float, float], Tensor],
) -> str:
    """Check an answer to the exercise "the bump".

    The answer takes log-ratios of good answers, z0 and beta and returns how
    hard KTO pushes each up. AssertionError: where it is off, and how far.
    """
    rho = torch.linspace(-30, 30, 121, dtype=torch.float64)
    good = torch.ones_like(rho).bool()
    for z0, beta in (0.0, 0.1), (2.0, 0.5), (0.7, 3.0):
        said = answer(rho, z0, beta)
        true = push(lambda r: kto_loss(r, good, z0, beta), rho)  # noqa: B023
        off = (said - true).abs()
        worst = int(off.argmax())
        assert off[worst] < 1e-9, (
            f"off by {off[worst]:.3f} at rho = {rho[worst]:.1f}, "
            f"z0 = {z0}, beta = {beta}"
        )
    return "correct: a bump at z0, flat on both sides"
