import hashlib
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from hfvae_runner.training.seeds import derived


def test_a_seed_is_the_same_everywhere() -> None:
    expected = int(hashlib.sha256(b"3/order/17").hexdigest()[:16], 16) // 2
    assert derived(3, "order", 17) == expected == 6547427698528158753
    program = "from hfvae_runner.training.seeds import derived; print(derived(3, 'order', 17))"
    other = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(other.stdout) == expected


@settings(max_examples=50)
@given(st.integers(), st.lists(st.sampled_from(["", "a", "é/"]) | st.integers(), max_size=3))
def test_a_seed_suits_every_generator(seed: int, purpose: list[str | int]) -> None:
    assert 0 <= derived(seed, *purpose) < 2**63


def test_purposes_have_streams_of_their_own() -> None:
    purposes: list[tuple[str | int, ...]] = [("noise",), ("order", 0), ("order", 1), ("order", 11)]
    assert len({derived(seed, *purpose) for seed in range(20) for purpose in purposes}) == 80
