"""What a user is told who asks for more memory than there is."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hfvae_runner.errors import ConfigError

# torch has a class for its GPUs alone; on the CPU its plain RuntimeError says one of these.
_SIGNS = ("can't allocate memory", "not enough memory", "Storage size calculation overflowed")


@contextmanager
def explained_exhaustion() -> Iterator[None]:
    """Raises ConfigError, in one line, where the block runs out of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(sign in text for sign in _SIGNS):
            raise
        raise ConfigError(
            f"not enough memory ({text[:150] or type(error).__name__}); "
            "expected a smaller batch_size, metrics.batch_size, image_size, latents or model"
        ) from error
