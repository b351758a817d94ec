import pytest
import torch

from hfvae_runner.errors import ConfigError
from hfvae_runner.training.memory import explained_exhaustion


def test_what_torch_says_on_the_cpu() -> None:
    message = r"not enough memory \(.*allocate memory.*\); expected a smaller batch_size"
    with pytest.raises(ConfigError, match=message), explained_exhaustion():
        torch.empty(2**60, dtype=torch.uint8)


def test_a_size_that_is_no_size() -> None:
    with pytest.raises(ConfigError, match="not enough memory"), explained_exhaustion():
        torch.empty((10**6, 10**9, 10**9))


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. ")])
def test_what_python_and_a_gpu_say(error: Exception) -> None:
    with pytest.raises(ConfigError, match="not enough memory"), explained_exhaustion():
        raise error


def test_any_other_error_is_left_alone() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), explained_exhaustion():
        torch.ones(2, 3) @ torch.ones(2, 3)
