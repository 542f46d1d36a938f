import threading
import time

import pytest
import torch

from samkit.inference.cores import on_separate_cores


@pytest.fixture(params=[1, 2, 3, 12])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 25])
def test_results_come_in_the_order_of_the_items(threads, count):
    def work(i):
        time.sleep(0.002 * (i % 3))
        return i * i

    assert list(on_separate_cores(work, range(count))) == [i * i for i in range(count)]
    assert torch.get_num_threads() == threads


def test_every_worker_has_its_share_of_the_cores_and_no_gradients(threads):
    seen = list(
        on_separate_cores(
            lambda _: (threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()),
            range(30),
        )
    )
    workers = {1: 1, 2: 2, 3: 3, 12: 8}[threads]
    assert len({ident for ident, _, _ in seen}) <= workers
    assert {share for _, share, _ in seen} == {threads // workers}
    assert not any(grad for _, _, grad in seen) and torch.is_grad_enabled()
    assert (threading.get_ident() in {ident for ident, _, _ in seen}) == (workers == 1)


def test_new_threads_of_the_process_have_all_cores_again(threads):
    results = on_separate_cores(lambda i: i, range(30))
    assert next(results) == 0
    seen = []
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [threads]
    assert list(results) == list(range(1, 30))


def test_an_error_is_raised_in_its_place_and_ends_the_rest(threads):
    begun = []

    def work(i):
        begun.append(i)
        if i == 3:
            raise ValueError("three")
        return i

    results = on_separate_cores(work, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(begun) < 100
    assert not [t for t in threading.enumerate() if t.name.startswith("samkit")]


def test_items_are_taken_no_faster_than_results_are_wanted(threads):
    taken = []
    results = on_separate_cores(lambda i: i, (taken.append(i) or i for i in range(1000)))
    next(results)
    time.sleep(0.05)
    assert len(taken) <= 2 * min(threads, 8) + 1
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("samkit")]


def test_other_devices_are_asked_from_one_thread():
    torch_threads = torch.get_num_threads()
    ident = threading.get_ident()
    results = on_separate_cores(
        lambda _: threading.get_ident(), range(4), device=torch.device("meta")
    )
    assert set(results) == {ident} and torch.get_num_threads() == torch_threads


@pytest.mark.parametrize("enabled", [False, True])
def test_mixed_precision_of_the_caller_holds_for_the_workers(threads, enabled):
    one = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
        kinds = set(on_separate_cores(lambda _: (one @ one).dtype, range(20)))
    assert kinds == {torch.bfloat16 if enabled else torch.float32}
