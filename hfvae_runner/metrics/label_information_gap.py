"""The gap between a discrete variable's and continuous factors' information on the label (HFVAE, Sec. 5.4, Fig. 8)."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class LabelInformationGap(NamedTuple):
    """The gap in nats, or None with the reason why it is not defined."""

    value: float | None
    why: str | None


def label_information_gap(
    discrete: NDArray[np.floating[Any]], continuous: NDArray[np.floating[Any]]
) -> LabelInformationGap:
    """Return I(y; c) - max_d I(y; z_d), in nats; negative if a continuous factor has more information.

    Both are plug-in estimates (`label_information`), whose upward biases largely cancel here. The maximum over noisy d
    adds its own bias, which lowers the gap.

    Args:
        discrete: [G], I(y; c) of each discrete variable; the largest counts, a case that the paper does not define.
        continuous: [D], I(y; z_d) of each continuous factor.
    """
    if len(discrete) == 0:
        return LabelInformationGap(None, "the prior has no discrete variable")
    if len(continuous) == 0:
        return LabelInformationGap(None, "the prior has no continuous factor")
    return LabelInformationGap(float(np.max(discrete) - np.max(continuous)), None)
