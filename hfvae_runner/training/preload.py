"""Imports the modules that the first step needs in the background while the data are read.

Reading and unpacking files releases Python's global lock most of the time.
"""

import threading
from functools import cache
from importlib import import_module


@cache
def import_ahead() -> threading.Thread:
    """Start the import in a thread, once per process; another import of the same modules waits for it."""
    # Not a daemon: an interpreter that exits during an import waits for its end.
    thread = threading.Thread(target=_import, name="import_ahead")
    thread.start()
    return thread


def _import() -> None:
    # torch's optimisers and operators import the first, the fused operators the second.
    import_module("torch._dynamo")
    import_module("hfvae_runner.distributions._kernels").wake()
