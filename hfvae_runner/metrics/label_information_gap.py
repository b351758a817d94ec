"""How much more the discrete variable knows about the label than any continuous factor (HFVAE, section 5.4, Fig. 8)."""

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
    """I(y; c) - max_d I(y; z_d), in nats; negative where a continuous factor knows more.

    discrete: [G], I(y; c) of each discrete variable (of several, the best one counts, which the paper leaves open);
    continuous: [D], I(y; z_d) of each continuous factor. Both are plug-in estimates (`label_information`), whose
    upward biases largely cancel here; the maximum over noisy d adds one of its own, which lowers the gap.
    """
    if len(discrete) == 0:
        return LabelInformationGap(None, "the prior has no discrete variable")
    if len(continuous) == 0:
        return LabelInformationGap(None, "the prior has no continuous factor")
    return LabelInformationGap(float(np.max(discrete) - np.max(continuous)), None)
