"""Imports in the background, while the data are read, what the first step needs.

Reading files and unpacking them leaves Python to other threads for most of the time.
"""

import threading
from functools import cache
from importlib import import_module


@cache
def import_ahead() -> threading.Thread:
    """Start the import in a thread, once in a process; another import of the same modules waits for it."""
    # No daemon: an interpreter that ends in the middle of an import waits for it.
    thread = threading.Thread(target=_import, name="import_ahead")
    thread.start()
    return thread


def _import() -> None:
    # torch's optimisers and operators ask for the first, the fused operators for the second.
    import_module("torch._dynamo")
    import_module("hfvae_runner.distributions._kernels").wake()
