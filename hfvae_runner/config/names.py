"""The names that a config can choose from, without the code behind them, which needs torch."""

from typing import Literal, get_args

Estimator = Literal["stratified", "mws", "mss"]
"""How a batch estimates the aggregate posterior; see ``latents.estimators.log_weights``."""

DiscreteDensity = Literal["argmax", "enumerate", "concrete"]
"""Which log-probability stands for a Concrete variable; see ``latents.blocks.ConcreteBlock``."""

Level = Literal["joint", "block", "factor"]
"""How finely a density of the latents is taken, coarsest first: all blocks together, each block, each factor."""

Values = Literal["unit_interval", "real", "counts"]
"""What a data set's values are: from 0 to 1; any real number; whole numbers from 0 on, such as a document's words."""

Kernel = Literal["imq_per_dimension", "imq", "imq_printed", "rbf"]
"""What the maximum mean discrepancy compares points with; see ``metrics.mmd``."""

Statistic = Literal["u", "v"]
"""How the maximum mean discrepancy averages within a set: without each point's pair with itself, or with it."""

Correlation = Literal["spearman", "lasso"]
"""What compares the latents of two models; see ``metrics.udr``."""

Precision = Literal["fp32", "tf32", "bf16"]
"""In which arithmetic products of matrices are taken; see ``models.precision``."""


def levels_to(finest: Level) -> tuple[Level, ...]:
    """The levels from the coarsest to this one."""
    levels: tuple[Level, ...] = get_args(Level)
    return levels[: levels.index(finest) + 1]
