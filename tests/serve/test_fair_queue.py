import random

from serve.fair_queue import SHARE, FairQueue, Waiting


def waiting(words):
    return Waiting(list(range(len(words))), words, None, None, 0.0)


def queue_of(*requests):
    queue = FairQueue()
    for request in requests:
        queue.add(request)
    return queue


def test_requests_of_one_text_go_in_the_order_in_which_they_came():
    requests = [waiting([10]) for _ in range(5)]
    queue = queue_of(*requests)
    assert queue.take(30) == [(request, 0, 1) for request in requests[:3]]
    assert queue.take(30) == [(request, 0, 1) for request in requests[3:]]
    assert queue.take(30) == []


def test_a_sentence_does_not_wait_behind_a_thousand_texts():
    many, one = waiting([20] * 1000), waiting([20])
    queue = queue_of(many, one)
    assert (one, 0, 1) in queue.take(200)


def test_two_large_requests_have_equal_shares():
    first, second = waiting([10] * 1000), waiting([10] * 1000)
    queue = queue_of(first, second)
    for _ in range(20):
        queue.take(256)
    assert abs(first.next - second.next) * 10 <= SHARE + 10


def test_a_large_request_alone_fills_the_batch():
    (share,) = queue_of(waiting([10] * 1000)).take(500)
    assert share[1:] == (0, 50)


def test_a_text_that_is_longer_than_a_batch_goes_alone():
    small, long = waiting([10]), waiting([5000])
    queue = queue_of(long, small)
    assert queue.take(100) == [(small, 0, 1)]
    assert queue.take(100) == [(long, 0, 1)]
    assert len(queue) == 0


def test_a_long_text_inside_a_request_waits_for_a_batch_of_its_own():
    queue = queue_of(waiting([10, 5000, 10]))
    assert [queue.take(100)[0][1:] for _ in range(3)] == [(0, 1), (1, 2), (2, 3)]


def test_what_is_removed_is_not_taken():
    first, second = waiting([10]), waiting([10])
    queue = queue_of(first, second)
    queue.remove(first)
    assert queue.take(100) == [(second, 0, 1)]


def test_every_text_is_taken_once_and_in_order_and_no_batch_is_too_large():
    draw = random.Random(3)
    for _ in range(200):
        requests = [waiting([draw.choice((1, 5, 30, 200)) for _ in range(draw.randint(1, 9))]) for _ in range(6)]
        queue, taken, late = queue_of(*requests[:3]), {request: [] for request in requests}, requests[3:]
        most = draw.choice((10, 64, 300))
        while len(queue) or late:
            if late:
                queue.add(late.pop())
            batch = queue.take(most)
            assert batch and len({request for request, _, _ in batch}) == len(batch)
            words = [request.words[k] for request, first, end in batch for k in range(first, end)]
            assert sum(words) <= most or len(words) == 1
            for request, first, end in batch:
                taken[request] += range(first, end)
        assert all(places == list(range(len(request.words))) for request, places in taken.items())


def test_whether_so_many_words_wait():
    queue = queue_of(waiting([10, 10]), waiting([5]))
    assert queue.holds(25) and not queue.holds(26)
