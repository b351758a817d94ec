import pytest
import torch

from hfvae_runner.errors import ConfigError
from hfvae_runner.models import precision

CPU = torch.device("cpu")


def test_tf32_wants_a_gpu() -> None:
    with pytest.raises(ConfigError, match="precision=tf32: device cpu has no such arithmetic; expected fp32 or bf16"):
        precision.check("tf32", CPU)
    precision.check("fp32", CPU)
    precision.check("bf16", CPU)


def test_an_old_gpu_has_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    for given in ("tf32", "bf16"):
        with pytest.raises(ConfigError, match=f"precision={given}: Old has no such arithmetic; expected fp32"):
            precision.check(given, torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    precision.check("bf16", torch.device("cuda", 0))


def test_products_are_rounded_within_a_tf32_step_alone() -> None:
    def rounded() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = rounded()
    try:
        with pytest.raises(ZeroDivisionError), precision.step_in("tf32"):
            assert rounded() == ("high", True)
            raise ZeroDivisionError
        assert rounded() == ("highest", False)
        for other in ("fp32", "bf16"):
            with precision.step_in(other):
                assert rounded() == ("highest", False)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_bf16_networks_multiply_in_bfloat16() -> None:
    layer = torch.nn.Linear(3, 2)
    with precision.networks_in("bf16", CPU):
        assert layer(torch.ones(1, 3)).dtype == torch.bfloat16
    with precision.networks_in("fp32", CPU):
        assert layer(torch.ones(1, 3)).dtype == torch.float32
