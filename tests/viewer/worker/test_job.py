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
    heard = []
    Job("test", three, on_message=heard.append, on_answer=heard.append)
    qtbot.waitUntil(lambda: "done" in heard, timeout=10_000)
    assert heard == [0, 1, 2, "done"]


def test_what_comes_while_a_message_is_handled_waits_its_turn(qtbot):
    heard = []

    def handle(message):
        qtbot.wait(100)  # as napari does when it moves a progress bar
        heard.append(message)

    Job("test", three, on_message=handle, on_answer=heard.append)
    qtbot.waitUntil(lambda: "done" in heard, timeout=10_000)
    assert heard == [0, 1, 2, "done"]


def test_a_job_that_was_left_is_not_heard(qtbot):
    heard = []

    def endless(link):
        while True:
            yield 1
            link.may_go.wait(0.01)

    job = Job("test", endless, on_message=heard.append, on_answer=heard.append)
    qtbot.waitUntil(lambda: len(heard) > 2, timeout=10_000)
    job.leave()
    n = len(heard)
    qtbot.wait(100)
    assert len(heard) == n


def test_one_handler_that_fails_leaves_the_rest_heard(qtbot):
    heard = []

    def handle(message):
        heard.append(message)
        if message == 0:
            raise KeyError(message)

    with qtbot.captureExceptions() as errors:
        Job("test", three, on_message=handle, on_answer=heard.append)
        qtbot.waitUntil(lambda: "done" in heard, timeout=10_000)
    assert heard == [0, 1, 2, "done"]
    assert len(errors) == 1
