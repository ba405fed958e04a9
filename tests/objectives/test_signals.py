"""Signals are answered in time, with their own status, whatever the process is at."""

import hashlib
import os
import signal
import sys
import threading
import time
from contextlib import suppress

import pytest

from objectives.errors import Stopped, command_line
from objectives.signals import Interrupted, Undone, answered, at_once, postponed
from tests.helpers.forked import BEGUN, Forked

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
LIMIT = (
    20  # seconds, on a busy machine, for what takes three; what is interrupted takes 100 or more
)


def sleep():
    time.sleep(100)


def stay_outside_of_python():
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def swallow():
    while True:
        with suppress(BaseException):
            time.sleep(100)


def linger():
    try:
        time.sleep(100)
    finally:
        time.sleep(100)


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("work", [sleep, stay_outside_of_python, swallow, linger])
def test_it_ends_in_time_with_one_line_and_its_status(work, number, tmp_path):
    command = Forked(work, tmp_path)
    command.wait_for(BEGUN)
    status, seconds = command.stopped_by(number)
    assert status == STATUS[number]
    assert seconds < LIMIT
    _, *lines = command.said().split("\n")
    assert list(filter(None, lines)) == [
        f"error: interrupted by {number.name}; what was written before stays as it is"
    ]


@pytest.mark.parametrize("number", STATUS)
def test_what_is_postponed_is_finished_first(number, tmp_path):
    def work():
        with postponed(print):
            print("within")
            time.sleep(5)  # longer than a command that is not postponed is waited for
            print("finished")
        print("never said")

    command = Forked(work, tmp_path)
    command.wait_for("within")
    status, _ = command.stopped_by(number)
    assert status == STATUS[number]
    said = command.said().splitlines()
    assert said[1:4] == [
        "within",
        f"{number.name}: stopping as soon as what is begun is whole; again: at once",
        "finished",
    ]
    assert len(said) == 5


@pytest.mark.parametrize("work", [sleep, stay_outside_of_python])
def test_a_second_signal_ends_what_is_postponed(work, tmp_path):
    def postponing():
        with postponed(print):
            print("within")
            work()

    command = Forked(postponing, tmp_path)
    command.wait_for("within")
    command.signal(signal.SIGTERM)
    time.sleep(0.5)
    status, seconds = command.stopped_by(signal.SIGINT)
    assert status in STATUS.values()
    assert seconds < LIMIT


def test_a_part_of_it_may_be_left_at_once(tmp_path):
    def work():
        with postponed(print) as request:
            try:
                with at_once():
                    print("within")
                    time.sleep(100)
            except Undone as undone:
                print("left", undone.number, request.number)
            with pytest.raises(Undone), at_once():  # nothing of the kind is begun any more
                print("never said")
            raise Stopped("go on", signal.SIGTERM)

    command = Forked(work, tmp_path)
    command.wait_for("within")
    status, seconds = command.stopped_by(signal.SIGTERM)
    assert status == 143
    assert seconds < LIMIT
    assert command.said().splitlines()[2:] == ["left 15 15", "error: go on"]


def test_a_child_that_is_signalled_does_not_end_its_parent(tmp_path):
    def work():
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, b"1")
            sleep()
        os.read(reading, 1)
        os.kill(child, signal.SIGTERM)
        assert os.waitpid(child, 0)[1]
        time.sleep(4)  # longer than the patience with who is signalled
        print("goes on")

    command = Forked(work, tmp_path)
    status, _ = command.wait()
    assert status == 0, command.said()
    assert "goes on" in command.said()


def test_nothing_is_left_of_it(capsys):
    before = [signal.getsignal(number) for number in STATUS], threading.active_count()
    with answered(), postponed(print):
        pass
    with pytest.raises(SystemExit) as end:
        command_line(lambda: signal.raise_signal(signal.SIGTERM))
    assert end.value.code == 143
    with pytest.raises(Interrupted), answered():
        signal.raise_signal(signal.SIGINT)
    assert ([signal.getsignal(number) for number in STATUS], threading.active_count()) == before
    assert signal.set_wakeup_fd(-1) == -1
    assert capsys.readouterr().err.count("\n") == 1


def test_one_of_several_processes_is_silent(capsys):
    def fail():
        raise Stopped("never said", signal.SIGINT)

    for main in (fail, lambda: signal.raise_signal(signal.SIGINT)):
        with pytest.raises(SystemExit) as end:
            command_line(main, silent=True)
        assert end.value.code == 130
    assert capsys.readouterr().err == ""


def test_off_the_main_thread_nothing_is_touched():
    handlers, failed = [signal.getsignal(number) for number in STATUS], []

    def work():
        try:
            with answered(), postponed(print), at_once():
                assert [signal.getsignal(number) for number in STATUS] == handlers
        except BaseException:
            failed.append(sys.exc_info())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
