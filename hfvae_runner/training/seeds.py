"""Independent random streams from one seed."""

import hashlib


def derived(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose (``"order", epoch``), the same on every machine and in every process."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
