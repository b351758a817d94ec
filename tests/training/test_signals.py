import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from hfvae_runner.training.signals import StopRequest, exit_on_sigterm, stop_requests

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("signum", "exit_code"), SIGNALS)
def test_the_first_signal_is_noted(signum: signal.Signals, exit_code: int) -> None:
    with stop_requests() as stop:
        assert stop.signum is None
        signal.raise_signal(signum)
        assert stop.signum == signum
        assert stop.exit_code == exit_code


@pytest.mark.parametrize(("signum", "exit_code"), SIGNALS)
def test_the_second_one_ends_at_once(signum: signal.Signals, exit_code: int) -> None:
    with pytest.raises(SystemExit) as caught, stop_requests():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signum)
    assert caught.value.code == exit_code


def test_the_handlers_are_given_back() -> None:
    before = [signal.getsignal(signum) for signum, _exit_code in SIGNALS]
    with stop_requests():
        assert [signal.getsignal(signum) for signum, _exit_code in SIGNALS] != before
    assert [signal.getsignal(signum) for signum, _exit_code in SIGNALS] == before
    with pytest.raises(RuntimeError), stop_requests():
        raise RuntimeError
    assert [signal.getsignal(signum) for signum, _exit_code in SIGNALS] == before


def test_outside_the_main_thread_nothing_is_touched() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[tuple[StopRequest, object]] = []

    def work() -> None:
        with stop_requests() as stop:
            seen.append((stop, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(StopRequest(None), before)]


def test_sigterm_elsewhere_ends_the_run_with_the_contracts_code() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end, exit_on_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert end.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def launcher() -> Iterator[list[int]]:
    """A launcher's handler of SIGUSR2, which keeps what it is called with and ends the process as submitit does."""
    called: list[int] = []

    def submit_again(signum: int, frame: FrameType | None) -> None:
        called.append(signum)
        raise SystemExit(-1)

    before = signal.signal(signal.SIGUSR2, submit_again)
    yield called
    signal.signal(signal.SIGUSR2, before)


def test_a_launcher_s_signal_ends_the_run_by_its_handler(launcher: list[int]) -> None:
    with pytest.raises(SystemExit) as end, stop_requests() as stop:
        signal.raise_signal(signal.SIGUSR2)
        assert not launcher, "not before the step is done and the checkpoint is written"
        assert stop.signum == signal.SIGUSR2
        signal.raise_signal(signal.SIGTERM)  # Slurm sends it to a job that is submitted again
        stop.end()
    assert launcher == [signal.SIGUSR2] and end.value.code == -1
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGUSR2)
    assert len(launcher) == 2, "the handler is there again"


def test_a_job_that_ends_anyway_is_not_submitted_again(launcher: list[int]) -> None:
    with pytest.raises(SystemExit) as end, stop_requests() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR2)
        stop.end()
    assert end.value.code == 143 and not launcher


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_without_a_launcher_the_signal_is_left_alone(handler: signal.Handlers) -> None:
    before = signal.signal(signal.SIGUSR2, handler)
    try:
        with stop_requests():
            assert signal.getsignal(signal.SIGUSR2) == handler
    finally:
        signal.signal(signal.SIGUSR2, before)
