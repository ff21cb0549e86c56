import json

import pytest
from reference.malformed import malformed

MODELS = ["tiny-classification", "tiny-tagging"]


@pytest.fixture(scope="module")
def client(served, model_folders):
    return served(*model_folders.values())


def failures(client, numbers):
    """What is wrong with the answers to requests."""
    found = []
    for number in numbers:
        sent = malformed(number, MODELS)
        answer = client.request(sent.method, sent.path, content=sent.content, headers=sent.headers)
        reason = wrong(answer)
        if reason:
            found.append(f"request {number}, {sent.method} {sent.path[:60]}: {reason}")
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
