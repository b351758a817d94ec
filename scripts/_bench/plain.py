"""A plain implementation of the five settings, without optimisation for speed.

It shares only the networks' weights with the package, in torch's own layers. It uses a DataLoader over float images in
memory (without worker processes, which would not be faster for such data), the whole table of log q(z_bd|x_j), Adam
with a loop over the parameters (on CUDA torch's default, over lists), and reads the loss after each step. Losses are in
nats per example, and equal those of the package.

Shapes: B batch; F factors; K categories; N training examples; C, H, W an image.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

LATENTS = 10
CLASSES = 10
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

Noise = Sequence[Tensor]
# An encoder or a decoder, as a function.
Network = Callable[[Tensor], Tensor]
# (encoder, decoder, x [B, C, H, W] of floats, noise, step, N) -> the loss.
Loss = Callable[[Network, Network, Tensor, Noise, int, int], Tensor]


def hfvae(encoder: Network, decoder: Network, x: Tensor, noise: Noise, step: int, n_data: int) -> Tensor:
    """Compute the loss of HFVAE Eq. 4 with β = 12, γ = 4, q(z) by Eq. 6."""
    mean, log_sigma, logits = encoder(x).split([LATENTS, LATENTS, CLASSES], dim=1)
    style = mean + torch.exp(log_sigma) * noise[0]
    relaxed = torch.softmax((logits + noise[1]) / 0.66, dim=1)
    category = relaxed.argmax(dim=1)
    log_probs = torch.log_softmax(logits, dim=1)

    log_q_given_x = log_normal(style, mean, log_sigma).sum(1) + log_probs.gather(1, category[:, None])[:, 0]
    weights = stratified(len(x), n_data, x.device)
    table = log_normal(style[:, None], mean[None], log_sigma[None])  # [B, B, F]
    class_table = log_probs.T[category]  # [B, B]
    log_q = torch.logsumexp(table.sum(2) + class_table + weights, dim=1)
    log_q_style = torch.logsumexp(table.sum(2) + weights, dim=1)
    log_q_class = torch.logsumexp(class_table + weights, dim=1)
    log_q_factors = torch.logsumexp(table + weights[:, :, None], dim=1)  # [B, F]

    mutual_information = log_q_given_x - log_q
    group_tc = log_q - log_q_style - log_q_class
    within_tc = log_q_style - log_q_factors.sum(1)
    log_p_factors = log_normal(style, torch.zeros_like(style), torch.zeros_like(style))
    dimension_kl = (log_q_factors - log_p_factors).sum(1) + log_q_class + math.log(CLASSES)
    divergence = mutual_information + 12 * group_tc + 4 * within_tc + dimension_kl
    return cross_entropy(decoder(torch.cat([style, relaxed], dim=1)), x) + divergence.mean()


def beta_tcvae(encoder: Network, decoder: Network, x: Tensor, noise: Noise, step: int, n_data: int) -> Tensor:
    """Compute the loss of β-TCVAE Eq. 4 with β = 6, q(z) by minibatch-weighted sampling (Eq. 3)."""
    mean, log_sigma = encoder(x).chunk(2, dim=1)
    z = mean + torch.exp(log_sigma) * noise[0]
    log_p = log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
    kl = log_normal(z, mean, log_sigma).sum(1) - log_p
    table = log_normal(z[:, None], mean[None], log_sigma[None])  # [B, B, F]
    shift = math.log(len(x) * n_data)
    log_q = torch.logsumexp(table.sum(2), dim=1) - shift
    log_q_factors = torch.logsumexp(table, dim=1) - shift
    total_correlation = log_q - log_q_factors.sum(1)
    return cross_entropy(decoder(z), x) + (kl + 5 * total_correlation).mean()


def joint_vae(encoder: Network, decoder: Network, x: Tensor, noise: Noise, step: int, n_data: int) -> Tensor:
    """Compute the loss of JointVAE Eq. 7 with γ = 30, both capacities from 0 to 5 nats in 25,000 steps."""
    mean, log_sigma, logits = encoder(x).split([LATENTS, LATENTS, CLASSES], dim=1)
    style = mean + torch.exp(log_sigma) * noise[0]
    relaxed = torch.softmax((logits + noise[1]) / 0.67, dim=1)
    kl_continuous = (0.5 * (mean**2 + torch.exp(2 * log_sigma) - 1) - log_sigma).sum(1).mean()
    log_probs = torch.log_softmax(logits, dim=1)
    kl_discrete = (log_probs.exp() * (log_probs + math.log(CLASSES))).sum(1).mean()
    capacity = min(5.0, 5.0 * step / 25_000)
    penalty: Tensor = (kl_continuous - capacity).abs() + (kl_discrete - min(capacity, math.log(CLASSES))).abs()
    return cross_entropy(decoder(torch.cat([style, relaxed], dim=1)), x) + 30 * penalty


def student_t_vae(encoder: Network, decoder: Network, x: Tensor, noise: Noise, step: int, n_data: int) -> Tensor:
    """Compute the negative bound with ∏ t(z_d; 5) as the prior (α-β paper, Sec. 6.1), its KL from the sample."""
    mean, log_sigma = encoder(x).chunk(2, dim=1)
    z = mean + torch.exp(log_sigma) * noise[0]
    log_p: Tensor = torch.distributions.StudentT(5.0).log_prob(z).sum(1)
    return cross_entropy(decoder(z), x) + (log_normal(z, mean, log_sigma).sum(1) - log_p).mean()


def isa_vae(encoder: Network, decoder: Network, x: Tensor, noise: Noise, step: int, n_data: int) -> Tensor:
    """Compute the loss of ISA-VAE Eq. 12, β = 1: subspaces of 4 factors, exponents 2.1 and 2.2, KL from the sample."""
    # Mean and log σ of each subspace in turn, [B, G, 4].
    mean, log_sigma = encoder(x).unflatten(1, (-1, 2, 4)).unbind(2)
    z = mean + torch.exp(log_sigma) * noise[0].view_as(mean)
    size, root, p = 4, 2.1, 2.2
    surface = size * (math.log(2) + math.lgamma(1 / p)) - (size - 1) * math.log(p) - math.lgamma(size / p)
    constant = math.log(root) - math.lgamma(size / root) - surface
    norms = z.abs().pow(p).sum(2).pow(1 / p)
    log_p: Tensor = (constant - norms.pow(root)).sum(1)
    return cross_entropy(decoder(z.flatten(1)), x) + (log_normal(z, mean, log_sigma).sum((1, 2)) - log_p).mean()


def log_normal(z: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    return -0.5 * (z - mean) ** 2 * torch.exp(-2 * log_sigma) - log_sigma - HALF_LOG_2PI


def stratified(batch: int, n_data: int, device: torch.device) -> Tensor:
    """Return the weights of HFVAE Eq. 6, [B, B]: log 1/N on the diagonal, log (N−1)/(N(B−1)) elsewhere."""
    weights = torch.full((batch, batch), math.log((n_data - 1) / (n_data * (batch - 1))), device=device)
    return weights.fill_diagonal_(-math.log(n_data))


def cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """Compute the cross-entropy summed over pixels and averaged over examples; logits are [B, 1, C, H, W]."""
    return functional.binary_cross_entropy_with_logits(logits[:, 0], x, reduction="sum") / len(x)


def with_torch_s_layers(network: nn.Module) -> nn.Module:
    """Replace the network's linear layers by torch's, in place, and return the network."""
    for name, layer in network.named_children():
        if isinstance(layer, nn.Linear):
            own = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
            own.weight, own.bias = layer.weight, layer.bias
            setattr(network, name, own)
        else:
            with_torch_s_layers(layer)
    return network


LOSSES: dict[str, tuple[Loss, Sequence[int]]] = {
    # By experiment: the loss, and the sizes of its noise, first normal, then Gumbel.
    "hfvae_mnist": (hfvae, (LATENTS, CLASSES)),
    "beta_tcvae_dsprites": (beta_tcvae, (LATENTS,)),
    "joint_vae_mnist": (joint_vae, (LATENTS, CLASSES)),
    "alpha_beta_shapes_student_t": (student_t_vae, (LATENTS,)),
    "isa_vae_dsprites": (isa_vae, (20,)),
}


class PlainLoop:
    """A training loop; calling it takes a number of steps and returns the seconds that they took.

    Args:
        experiment: a key of ``LOSSES``.
        encoder: the encoder, on the training device.
        decoder: the decoder, on the training device.
        images: float32 [N, C, H, W] from 0 to 1, on the CPU.
        batch_size: B.
        lr: Adam's learning rate.
        amsgrad: whether Adam is AMSGrad.
    """

    def __init__(
        self,
        experiment: str,
        encoder: nn.Module,
        decoder: nn.Module,
        images: Tensor,
        *,
        batch_size: int,
        lr: float,
        amsgrad: bool,
    ) -> None:
        self.loss, self.sizes = LOSSES[experiment]
        self.encoder, self.decoder = with_torch_s_layers(encoder), with_torch_s_layers(decoder)
        self.n_data = len(images)
        self.loader = DataLoader(TensorDataset(images), batch_size, shuffle=True, drop_last=True, num_workers=0)
        parameters = [*encoder.parameters(), *decoder.parameters()]
        self.device = parameters[0].device
        self.optimizer = torch.optim.Adam(parameters, lr, amsgrad=amsgrad, fused=False)
        self.batches = self._batches()
        self.step = 0

    def __call__(self, steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            x = next(self.batches).to(self.device)
            self.optimizer.zero_grad()
            loss = self.loss(self.encoder, self.decoder, x, self._noise(len(x)), self.step, self.n_data)
            loss.backward()
            self.optimizer.step()
            self.step += 1
            # Waits for a GPU, as printing the loss would.
            if not math.isfinite(loss.item()):
                raise FloatingPointError(f"the plain loop's loss is {loss.item()} at step {self.step}")
        return time.perf_counter() - start

    def _batches(self) -> Iterator[Tensor]:
        while True:
            for (x,) in self.loader:
                yield x

    def _noise(self, batch: int) -> list[Tensor]:
        normal = torch.randn(batch, self.sizes[0], device=self.device)
        gumbel = [-torch.log(-torch.log(torch.rand(batch, size, device=self.device))) for size in self.sizes[1:]]
        return [normal, *gumbel]
