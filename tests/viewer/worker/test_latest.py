import threading

import pytest
from qtpy.QtCore import QThreadPool

from napari_convgen.viewer.worker.latest import Latest


@pytest.fixture
def answers():
    return []


@pytest.fixture
def latest(answers, qtbot):
    yield (latest := Latest(answers.append))
    from napari._qt.qthreading import wait_for_workers_to_quit

    latest.forget()
    wait_for_workers_to_quit(20_000)


def test_of_what_is_asked_for_meanwhile_only_the_last_is_done(latest, answers, qtbot):
    is_allowed, done = threading.Event(), []

    def work(number):
        is_allowed.wait(10)
        done.append(number)
        return number

    for number in range(5):
        latest.ask(work, number)
    assert latest.is_busy
    is_allowed.set()
    qtbot.waitUntil(lambda: not latest.is_busy)
    assert answers == done == [0, 4]


def test_nothing_is_heard_of_what_was_forgotten(latest, answers, qtbot):
    is_allowed = threading.Event()
    latest.ask(is_allowed.wait, 10)
    latest.ask(lambda: "next")
    latest.forget()
    assert not latest.is_busy
    latest.ask(lambda: "new")
    is_allowed.set()
    qtbot.waitUntil(lambda: not latest.is_busy)
    qtbot.wait(50)
    assert answers == ["new"]


def test_nothing_is_heard_once_napari_told_its_workers_to_quit(latest, answers, qtbot):
    latest.ask(lambda: "done, but not received yet")
    worker = latest._worker
    assert QThreadPool.globalInstance().waitForDone(10_000)
    latest.ask(lambda: "next")
    worker.quit()
    assert not latest.is_busy
    qtbot.wait(50)
    assert answers == []


def test_an_answer_may_ask_again(qtbot):
    answers = []

    def hear(answer):
        answers.append(answer)
        if answer < 3:
            latest.ask(lambda: answer + 1)

    latest = Latest(hear)
    latest.ask(lambda: 0)
    qtbot.waitUntil(lambda: answers == [0, 1, 2, 3])
