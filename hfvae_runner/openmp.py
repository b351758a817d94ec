"""How long OpenMP's threads spin while they wait for one another.

libgomp, which torch's and scikit-learn's packages bring, lets them spin for milliseconds. Two runs at once on one
machine then take the cores from each other. It reads its setting once, when it is loaded: before torch is imported.
"""

import os
from collections.abc import MutableMapping

SPIN_COUNT = "2000"
"""Turns of the loop in which a thread waits before it sleeps."""
_OWN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def limit_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets ``GOMP_SPINCOUNT``, unless the user's environment says how threads wait; later processes inherit it."""
    if not any(name in environment for name in _OWN):
        environment["GOMP_SPINCOUNT"] = SPIN_COUNT
