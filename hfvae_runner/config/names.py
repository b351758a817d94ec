"""The names that a config can choose from, without their implementations, which need torch."""

from typing import Literal, get_args

Estimator = Literal["stratified", "mws", "mss"]
"""How a batch estimates the aggregate posterior; see ``latents.estimators.log_weights``."""

DiscreteDensity = Literal["argmax", "enumerate", "concrete"]
"""Which log-probability is used for a Concrete variable; see ``latents.blocks.ConcreteBlock``."""

Level = Literal["joint", "block", "factor"]
"""The level of a density of the latents, coarsest first: of all blocks together, of each block, of each factor."""

Values = Literal["unit_interval", "real", "counts"]
"""The range of a data set's values: from 0 to 1; real numbers; whole numbers from 0 on, such as word counts."""

Kernel = Literal["imq_per_dimension", "imq", "imq_printed", "rbf"]
"""The kernel of the maximum mean discrepancy; see ``metrics.mmd``."""

Statistic = Literal["u", "v"]
"""The average of the maximum mean discrepancy within a set: without or with each point's pair with itself."""

Correlation = Literal["spearman", "lasso"]
"""What compares the latents of two models; see ``metrics.udr``."""

Average = Literal["mean", "product"]
"""What replaces the two posteriors of a latent that a pair shares; see ``latents.averaging``."""

Distance = Literal["kl", "symmetric"]
"""How the two posteriors of a pair are compared, latent by latent; see ``latents.averaging``."""

Precision = Literal["fp32", "tf32", "bf16"]
"""The arithmetic of matrix products; see ``models.precision``."""


def levels_to(finest: Level) -> tuple[Level, ...]:
    """Return the levels from the coarsest to this one."""
    levels: tuple[Level, ...] = get_args(Level)
    return levels[: levels.index(finest) + 1]
