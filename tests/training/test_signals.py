import signal
import threading

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
