"""The closed sets of names that a config chooses from, apart from the code behind them, which needs torch."""

from typing import Literal

Estimator = Literal["stratified", "mws", "mss"]
"""How a batch estimates the aggregate posterior; see ``estimators.log_weights``."""

DiscreteDensity = Literal["argmax", "enumerate", "concrete"]
"""Which log-probability stands for a Concrete variable; see ``latents.ConcreteBlock``."""
