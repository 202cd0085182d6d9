import pytest

from napari_convgen.viewer.worker.job import Job


@pytest.fixture(autouse=True)
def _workers_end(qtbot):
    yield
    from napari._qt.qthreading import wait_for_workers_to_quit

    wait_for_workers_to_quit(20_000)


def three(link):
    """Yield numbers, and nothing now and then."""
    for i in range(3):
        yield i
        yield None
    return "done"


def test_messages_and_the_answer_arrive_in_their_order(qtbot):
    received = []
    Job("test", three, on_message=received.append, on_answer=received.append)
    qtbot.waitUntil(lambda: "done" in received, timeout=10_000)
    assert received == [0, 1, 2, "done"]


def test_what_comes_while_a_message_is_handled_waits_its_turn(qtbot):
    received = []

    def handle(message):
        qtbot.wait(100)  # as napari does when it moves a progress bar
        received.append(message)

    Job("test", three, on_message=handle, on_answer=received.append)
    qtbot.waitUntil(lambda: "done" in received, timeout=10_000)
    assert received == [0, 1, 2, "done"]


def test_a_job_that_was_left_is_not_heard(qtbot):
    received = []

    def endless(link):
        while True:
            yield 1
            link.is_allowed.wait(0.01)

    job = Job("test", endless, on_message=received.append, on_answer=received.append)
    qtbot.waitUntil(lambda: len(received) > 2, timeout=10_000)
    job.leave()
    n = len(received)
    qtbot.wait(100)
    assert len(received) == n


def test_one_handler_that_fails_leaves_the_rest_received(qtbot):
    received = []

    def handle(message):
        received.append(message)
        if message == 0:
            raise KeyError(message)

    with qtbot.captureExceptions() as errors:
        Job("test", three, on_message=handle, on_answer=received.append)
        qtbot.waitUntil(lambda: "done" in received, timeout=10_000)
    assert received == [0, 1, 2, "done"]
    assert len(errors) == 1
