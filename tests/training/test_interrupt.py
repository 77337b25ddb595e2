"""Real signals, sent to this process."""

import os
import signal
import threading

import pytest

from vae.training.interrupt import exit_code, interruptions


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_becomes_a_flag_and_the_handler_comes_back(number):
    earlier = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    with interruptions() as stop:
        assert not stop.requested
        assert stop.signal is None
        send(number)
        assert stop.requested
        assert stop.signal == number
    assert {n: signal.getsignal(n) for n in earlier} == earlier


def test_handlers_come_back_after_an_error():
    earlier = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), interruptions():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGTERM) is earlier


def test_second_control_c_interrupts_at_once():
    with interruptions() as stop:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert stop.signal == signal.SIGINT


def test_repeated_sigterm_and_a_first_control_c_after_it_stay_patient():
    with interruptions() as stop:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            send(number)
        assert stop.signal == signal.SIGTERM


def test_other_threads_get_a_flag_that_stays_down():
    earlier, seen = signal.getsignal(signal.SIGINT), []

    def run():
        with interruptions() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT) is earlier))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(False, True)]


def test_exit_codes_are_those_of_a_shell():
    assert (exit_code(signal.SIGINT), exit_code(signal.SIGTERM)) == (130, 143)
