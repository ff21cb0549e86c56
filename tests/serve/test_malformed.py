import asyncio
import json

import httpx2
import pytest
from reference.malformed import malformed

MODELS = ["tiny-classification", "tiny-tagging"]


@pytest.fixture(scope="module")
def client(served, model_folders):
    return served(*model_folders.values())


AT_ONCE = 64


def failures(client, numbers):
    """What is wrong with the answers to requests, of which many are under way at once."""
    found, pending = [], iter(numbers)

    async def ask(asking):
        for number in pending:
            sent = malformed(number, MODELS)
            answer = await asking.request(sent.method, sent.path, content=sent.content, headers=sent.headers)
            if reason := wrong(answer):
                found.append(f"request {number}, {sent.method} {sent.path[:60]}: {reason}")

    async def ask_all():
        transport = httpx2.ASGITransport(client.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver", timeout=None) as asking:
            await asyncio.gather(*(ask(asking) for _ in range(AT_ONCE)))

    # Where the application lives.
    client.portal.call(ask_all)
    return found


def wrong(answer):
    if answer.status_code >= 500:
        return f"{answer.status_code} {answer.text[:200]}"
    if "Traceback" in answer.text or ".py" in answer.text:
        return f"shows its inside: {answer.text[:200]}"
    if answer.status_code < 400 or not answer.content:
        return None
    told = json.loads(answer.content)
    message = told.get("detail") or told.get("error") or told.get("message")
    return None if isinstance(message, str) else f"says no reason: {answer.text[:200]}"


def test_no_malformed_request_is_an_error_of_the_server(client):
    assert failures(client, range(200)) == []


@pytest.mark.slow
def test_none_of_ten_thousand_is_either(client):
    assert failures(client, range(10_000)) == []


def test_the_server_answers_as_before(client):
    answer = client.post("/v1/models/tiny-tagging:predict", json={"texts": ["A cat"]})
    assert answer.status_code == 200
