import math
import re
from datetime import UTC, datetime

import pytest

from serve.errors import TooLarge, TooMany
from serve.keys import ApiKey
from serve.limits import Limits, TokenBucket


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def key_of(**fields):
    return ApiKey(name="a", secrets=[{"sha256": "0" * 64}], created=datetime.now(UTC), **fields)


def test_a_full_bucket_gives_what_a_minute_may_take_and_no_more(clock):
    bucket = TokenBucket(60, clock)
    assert [bucket.take(1) for _ in range(60)] == [0] * 60
    assert bucket.take(1) == 1.0
    clock.seconds += 1
    assert bucket.take(1) == 0


def test_what_is_refused_is_not_taken(clock):
    bucket = TokenBucket(60, clock)
    assert bucket.take(50) == 0
    assert bucket.take(20) == 10
    assert bucket.left == 10 and bucket.full_in == 50


def test_the_told_wait_is_enough(clock, random):
    bucket = TokenBucket(37, clock)
    for tokens in random.integers(1, 38, 500):
        wait = bucket.take(tokens)
        if wait:
            clock.seconds += math.ceil(wait)
            assert bucket.take(tokens) == 0


def test_no_more_passes_in_any_time_than_the_limit_allows(clock, random):
    bucket, start, passed = TokenBucket(120, clock), clock.seconds, 0
    for gap in random.exponential(0.1, 5_000):
        clock.seconds += gap
        passed += bucket.take(1) == 0
    assert passed <= 120 + (clock.seconds - start) * 2 + 1e-6


def test_more_than_a_bucket_holds_never_passes(clock):
    assert TokenBucket(60, clock).take(61) == math.inf


def test_a_bucket_does_not_run_over(clock):
    bucket = TokenBucket(60, clock)
    bucket.give_back(1_000)
    clock.seconds += 1e6
    assert bucket.left == 60


def test_a_key_is_told_when_to_come_back(clock):
    limits, key = Limits(clock), key_of(requests_per_minute=2)
    limits.take_request(key)
    limits.take_request(key)
    with pytest.raises(TooMany, match="2 requests a minute") as refused:
        limits.take_request(key)
    assert refused.value.retry_after == 30
    clock.seconds += 30
    limits.take_request(key)


def test_words_count_apart_from_requests(clock):
    limits, key = Limits(clock), key_of(words_per_minute=100)
    limits.take_words(key, 90)
    limits.take_request(key)
    with pytest.raises(TooMany, match="100 words a minute"):
        limits.take_words(key, 20)
    limits.give_back_words(key, 90)
    limits.take_words(key, 20)
    with pytest.raises(TooLarge, match="101 words in one request"):
        limits.take_words(key, 101)


def test_a_key_without_limits_is_told_of_none(clock):
    limits = Limits(clock)
    limits.take_words(key_of(), 10**9)
    assert limits.headers(key_of()) == []


def test_a_caller_is_told_what_is_left(clock):
    limits, key = Limits(clock), key_of(requests_per_minute=60, words_per_minute=1000)
    limits.take_request(key)
    limits.take_words(key, 400)
    headers = dict(limits.headers(key))
    assert headers[b"ratelimit-policy"] == b'"requests";q=60;w=60, "words";q=1000;w=60'
    assert headers[b"ratelimit"] == b'"requests";r=59;t=1, "words";r=600;t=24'
    # A list of strings with integer parameters (RFC 9651).
    assert re.fullmatch(rb'"\w+"(;\w=\d+)+(, "\w+"(;\w=\d+)+)*', headers[b"ratelimit"])


def test_changed_limits_begin_anew_and_forget_the_old(clock):
    limits = Limits(clock)
    limits.take_request(key_of(requests_per_minute=1))
    limits.take_request(key_of(requests_per_minute=2))
    limits.take_request(key_of(requests_per_minute=1))
