"""Limits how long OpenMP's threads spin while they wait for one another.

libgomp, which the packages of torch and scikit-learn contain, lets them spin for milliseconds by default, so two
simultaneous runs on one machine take the cores from each other. libgomp reads its setting once, when it is loaded, so
the setting must be made before torch is imported.
"""

import os
from collections.abc import MutableMapping

SPIN_COUNT = "2000"
"""The number of turns of the waiting loop before a thread sleeps."""
_OWN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def limit_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set ``GOMP_SPINCOUNT``, unless the user's environment sets how threads wait; child processes inherit it."""
    if not any(name in environment for name in _OWN):
        environment["GOMP_SPINCOUNT"] = SPIN_COUNT
