"""The variational autoencoder: encoder, decoder, latents and likelihood."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hfvae_runner.config.names import Estimator, Precision
from hfvae_runner.data.supervision import Supervised
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.averaging import Averaging
from hfvae_runner.latents.blocks import Noise, Posterior
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.generated import Generated
from hfvae_runner.latents.known_factors import Assignment, KnownFactors
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.precision import networks_in


class VAE(nn.Module):
    """Variational autoencoder, q(z|x) and p(x|z). Shapes: B batch; * the shape of one example.

    Args:
        networks: encoder and decoder.
        latents: the blocks of z and their priors.
        likelihood: the likelihood p(x|z).
    """

    def __init__(self, networks: Networks, latents: Latents, likelihood: Likelihood) -> None:
        super().__init__()
        self.encoder = networks.encoder
        self.decoder = networks.decoder
        self.latents = latents
        self.likelihood = likelihood

    def encode(self, x: Tensor) -> Posterior:
        """Return the posterior parameters of every block: [B, *] -> [B, P_g] each."""
        return self.latents.posterior(self.encoder(x).to(x.dtype))

    def decode(self, code: Tensor) -> Tensor:
        """Return the likelihood's parameters: [B, Σ C_g] -> [B, P, *]."""
        raw: Tensor = self.decoder(code).to(code.dtype)
        return raw

    def forward(
        self,
        x: Tensor,
        noise: Noise,
        *,
        estimator: Estimator,
        n_data: int,
        supervised: Supervised | None = None,
        averaging: Averaging | None = None,
        labelled: tuple[Tensor, Tensor, Sequence[Assignment]] | None = None,
        draws: Sequence[Noise] | None = None,
        precision: Precision = "fp32",
    ) -> Evidence:
        """Draw one reparameterised sample per example and return its log-densities, which are evaluated lazily.

        Args:
            x: [B, *].
            noise: noise from ``latents.noise``, [B, C_g] for each block.
            estimator: estimator of the aggregate posterior.
            n_data: N, the training set's size.
            supervised: the examples for which the decoder reads the label in place of the discrete variable's sample.
            averaging: replaces the posteriors of the latents that a pair shares; the batch is then pairs, as
                ``Averaging`` takes them.
            labelled: examples [m, *] whose ground-truth factors are given, the values [m, K], and the latents that
                represent these factors. The examples are encoded only.
            draws: noise from ``latents.prior_noise``, of the examples to generate beside x; None for none.
            precision: arithmetic of the networks' products.

        Raises:
            ValueError: B = 1 and N > 1, or B > N.
        """
        with networks_in(precision, x.device):
            posterior = self.encode(x)
            known = None if labelled is None else KnownFactors(self.encode(labelled[0]), *labelled[1:])
        shared = None
        if averaging is not None:
            posterior, shared = averaging(posterior)
        sample = self.latents.sample(posterior, noise)
        code = self.latents.code(sample)
        if supervised is not None:
            code = self._with_labels(code, supervised)
        with networks_in(precision, x.device):
            # An objective that generates trains the decoder on draws of the prior, whose statistics it keeps.
            raw = self.decode(code) if draws is None else _apart(self.decoder, code)
        log_px = self.likelihood.log_prob(x, raw)
        q_z = aggregate.from_batch(self.latents, posterior, sample, estimator=estimator, n_data=n_data)
        return Evidence(
            self.latents,
            posterior,
            sample,
            log_px,
            q_z,
            supervised,
            shared,
            values=x[0].numel(),
            known=known,
            generated=None if draws is None else self._generate(x, draws, precision),
        )

    def _generate(self, x: Tensor, draws: Sequence[Noise], precision: Precision) -> Generated:
        sample = self.latents.prior_sample(draws, hard=True)
        with networks_in(precision, x.device):
            raw = self.decode(self.latents.code(sample))
        generated = self.likelihood.mean(raw)
        with networks_in(precision, x.device):
            # The encoder keeps the statistics of the data, on which it is measured.
            return Generated(x, generated, sample, self.latents.posterior(_apart(self.encoder, generated)))

    def _with_labels(self, code: Tensor, supervised: Supervised) -> Tensor:
        (g,) = self.latents.select([supervised.block])
        columns = self.latents.code_slices()[g]
        categories = torch.arange(self.latents.blocks[g].n_code, device=code.device)
        one_hot = (supervised.labels[:, None] == categories).to(code.dtype)
        own = torch.where(supervised.given[:, None], one_hot, code[:, columns])
        return torch.cat([code[:, : columns.start], own, code[:, columns.stop :]], dim=1)


def _apart(network: nn.Module, x: Tensor) -> Tensor:
    """Apply a network without an effect on its buffers, which are the running statistics of batch normalisation.

    Two distributions in turn would leave a mean of both statistics, which fits neither.
    """
    copies = {name: buffer.clone() for name, buffer in network.named_buffers()}
    raw: Tensor = functional_call(network, copies, (x,)).to(x.dtype)
    return raw
