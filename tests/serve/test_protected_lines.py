"""A key is looked at for every line, since a request of lines may last for hours."""

import asyncio
import json

import pytest
from reference.fake_service import FakeService

from serve.guard import CALLER, Caller, Guarded
from serve.json_lines import answered
from serve.key_ring import KeyRing
from serve.keys import add_key, revoke_key
from serve.limits import Limits
from serve.line_answer import A_REQUEST, Ask


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def ask(keys, monkeypatch):
    """Gives the answers to lines of a new key; a function among them gives a line when two are answered."""
    monkeypatch.setattr("serve.key_ring._CHECK_SECONDS", 0)

    def make(lines, **fields):
        token, limits = add_key(keys, "a", **fields), Limits(lambda: 0.0)

        async def scenario():
            CALLER.set(Caller(KeyRing(keys), token, limits))
            service = Guarded(FakeService(), limits)

            async def read():
                for line in lines:
                    if callable(line):
                        while len(answers) < 2:
                            await asyncio.sleep(0)
                    yield line() if callable(line) else line

            answers = []
            async for part in answered(Ask(service, "kinds", None, False, None), read()):
                answers += map(json.loads, part.splitlines())
            return answers

        return asyncio.run(scenario())

    return make


def test_a_key_that_is_revoked_ends_the_lines(ask, keys):
    def revoke():
        revoke_key(keys, "a")
        return b'"one"'

    *answers, last = ask([b'"one"', b'"one two"', revoke, *[b'"never"'] * 10])
    assert [answer["prediction"]["label"] for answer in answers] == ["one", "many"]
    assert last == {"line": 3, "status": 401, "error": "the API key is no longer valid"}


def test_a_limit_of_words_ends_the_lines_and_says_when_to_go_on(ask):
    *answers, last = ask([b'"one two three"'] * 9, words_per_minute=10)
    assert [answer["prediction"]["label"] for answer in answers] == ["many"] * 3
    assert (last["line"], last["status"], last["retry_after"]) == (4, 429, 12)
    assert last["error"] == "the key 'a' may ask for 10 words a minute; ask again in 12 s"


def test_a_line_that_no_limit_will_ever_let_through_has_an_error_of_its_own(ask):
    answers = ask([b'"one two three"', b'"one"'], words_per_minute=2)
    assert [answer.get("status") for answer in answers] == [413, None]


def test_lines_count_as_the_requests_that_they_would_be(ask):
    # The first is counted by `Access`.
    lines = [line for _ in range(4 * A_REQUEST) for line in (b'"one"', b"")]
    *answers, last = ask(lines, requests_per_minute=2)
    assert len(answers) == 3 * A_REQUEST and all("prediction" in answer for answer in answers)
    assert (last["line"], last["status"], last["retry_after"]) == (6 * A_REQUEST + 1, 429, 30)
    assert last["error"].startswith("the key 'a' may ask for 2 requests a minute")
