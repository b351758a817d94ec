import pytest
import torch
from torch import Tensor

from hfvae_runner.errors import ConfigError
from hfvae_runner.training.step import check_compiler, step_of


def test_a_step_moves_the_parameters_down_the_gradient_and_forgets_the_last_one() -> None:
    weight = torch.tensor([1.0, 2.0], requires_grad=True)

    def loss_of(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (weight * x).sum()
        return loss, {"weight": weight.detach().sum()}

    step = step_of(loss_of, torch.optim.SGD([weight], lr=0.1))
    loss, terms = step(torch.tensor([1.0, 0.0]))
    assert (loss.item(), terms["weight"].item()) == (1, 3)
    assert not loss.requires_grad
    step(torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9, 1.9]))


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="no C\\+\\+ compiler 'no-such-compiler'; expected one, or false"):
        check_compiler(torch.device("cpu"))
    check_compiler(torch.device("cuda"))  # where torch brings its own
