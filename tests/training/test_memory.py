from pathlib import Path

import pytest
import torch

from hfvae_runner.errors import ConfigError
from hfvae_runner.launch import main
from hfvae_runner.training import memory
from hfvae_runner.training.memory import explained_exhaustion, refuse_too_large


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


@pytest.mark.parametrize(("amsgrad", "needed"), [(False, 3), (True, 4)])
def test_gradients_and_moments_have_to_fit_beside_the_parameters(
    amsgrad: bool, needed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, cpu = torch.nn.Linear(100, 100), torch.device("cpu")
    parameters = list(layer.parameters())
    monkeypatch.setattr(memory, "free_bytes", lambda device: needed * 4 * 10_100)
    refuse_too_large(parameters, cpu, amsgrad=amsgrad)
    monkeypatch.setattr(memory, "free_bytes", lambda device: needed * 4 * 10_100 - 1)
    with pytest.raises(ConfigError, match=r"and cpu has 0\.0 GB left; expected a smaller model or objective"):
        refuse_too_large(parameters, cpu, amsgrad=amsgrad)


def test_a_critic_that_does_not_fit_is_refused_before_anything_is_written(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 60_000_000)
    command = ["objective=factor_vae", "image_size=8", "objective.terms.critic_total_correlation.layers=20"]
    assert main([*command, "hydra.run.dir=run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the parameters take 0.1 GB") and error.count("\n") == 1
    assert not list(workplace.iterdir())
