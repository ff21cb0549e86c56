"""How the page asks: keys, refusals, links, and the command that does the same."""

import json
import os
import re
import subprocess

import pytest
from reference.page_visitor import answer, ask, give_key

expect = pytest.importorskip("playwright.sync_api", reason="no playwright on this machine").expect


TEXTS = {
    "quotes": """It's "Ada"; `id` $HOME $(id) \\ \\n !! %s""",
    "lines": "Ada\n\tBob\n'\n",
    "emoji": "🙂 Ada Zoe\u0308 👩‍👩‍👧",
    "controls": "Ada\x7f\x1b[31m\u202eBob\u2028",
    "an @": "@Ada",
    "long": "Ada's 'cat' sat! " * 7_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_command_gives_the_same_answer(page, text):
    with page.expect_response("**/v1/models/names:predict") as response:
        ask(page, "names, version 7", text)
    command = page.locator("#curl").text_content()
    # As a script, since a command of 128 KiB is no argument either.
    done = subprocess.run(["bash"], input=command.encode(), capture_output=True, check=True)
    assert json.loads(done.stdout) == response.value.json()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", command)


def test_the_command_takes_the_key_from_the_environment(visit, locked_address, key):
    page = visit(locked_address)
    give_key(page, key)
    expect(page.get_by_label("Text", exact=True)).to_have_value("The cell divides.")
    command = page.locator("#curl").text_content()
    assert key not in command
    done = subprocess.run(
        ["bash", "-c", command], env=os.environ | {"TELMO_API_KEY": key}, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["predictions"][0]["label"] == "biology"


def test_a_key_is_asked_for_where_one_is_needed(visit, locked_address, key):
    page = visit(locked_address)
    field = page.get_by_label("API key")
    expect(field).to_be_focused()
    expect(page.locator("#key-problem")).to_contain_text("no valid key; expected 'Authorization: Bearer KEY'")
    give_key(page, "wrong ключ")
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    give_key(page, key)
    expect(field).to_be_hidden()
    ask(page, "topics", "The cell divides.")
    expect(answer(page)).to_contain_text("biology")
    # In this tab, and nowhere else.
    stored = page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]")
    assert stored == [[key], [], ""]
    page.reload()
    ask(page, "topics", "The cell divides.")
    expect(answer(page)).to_contain_text("biology")
    page.get_by_role("button", name="Forget the key").click()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_key_that_ends_is_asked_for_again_and_the_question_goes_on(visit, locked_address, key):
    page = visit(locked_address)
    give_key(page, key)
    expect(page.get_by_label("API key")).to_be_hidden()
    page.evaluate("sessionStorage.setItem('telmo-key', 'revoked')")
    ask(page, "dates", "May 6")
    give_key(page, key)
    expect(answer(page)).to_contain_text("May 6!")


def test_no_key_is_asked_for_where_none_is_needed(page):
    ask(page, "topics", "a")
    expect(answer(page)).to_contain_text("biology")
    expect(page.get_by_label("API key")).to_be_hidden()
    assert "Authorization" not in page.locator("#curl").inner_text()


def test_a_text_that_cannot_be_used_is_told_at_the_text(page):
    ask(page, "topics", "cells")
    expect(answer(page)).to_contain_text("biology")
    ask(page, "topics", "  ")
    expect(page.locator("#text-problem")).to_contain_text("texts[0] has no words; expected at least one")
    expect(page.locator("#text-problem")).to_contain_text("Request r-1")
    field = page.get_by_label("Text", exact=True)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    # The answer to the text before is gone.
    expect(answer(page)).not_to_contain_text("biology")
    ask(page, "topics", "cells")
    expect(page.locator("#text-problem")).to_be_hidden()
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_a_full_server_says_when_to_come_back(page):
    ask(page, "topics", "full")
    expect(page.locator("#form-problem")).to_contain_text("the queue holds 256 requests; expected fewer")
    expect(page.locator("#form-problem")).to_contain_text("Try again in 1 s.")
    expect(page.get_by_role("status")).to_have_text("You can try again now.")


def test_a_model_that_is_being_loaded_is_told_at_the_model(page):
    ask(page, "broken (loading)", "a")
    expect(page.locator("#model-problem")).to_contain_text("the model 'broken' is being loaded")


def test_what_is_late_or_cannot_be_reached_is_told(page, address):
    ask(page, "topics", "late")
    expect(page.locator("#form-problem")).to_contain_text("the deadline has passed")
    page.route("**/v1/**", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    ask(page, "topics", "a")
    expect(page.locator("#form-problem")).to_have_text("The answer is 502 Bad Gateway, without a reason.")


def test_a_server_that_is_gone_is_told(visit, address, browser):
    page = visit(address)
    expect(page.get_by_label("Text", exact=True)).to_have_value("The cell divides.")
    page.evaluate("() => { window.fetch = async () => { throw new TypeError('Failed to fetch') } }")
    ask(page, "topics", "a")
    expect(page.locator("#form-problem")).to_have_text("The server cannot be reached.")


def test_a_link_carries_the_question_to_another_browser(page, visit, address):
    ask(page, "same", "a & b=c", "#1\n🙂")
    page.evaluate("navigator.clipboard.writeText = async (text) => (window.copied = text)")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("copied")
    assert link.startswith(f"{address}#")
    other = visit(link)
    expect(other.get_by_label("First text")).to_have_value("a & b=c")
    expect(other.get_by_label("Second text")).to_have_value("#1\n🙂")


def test_a_link_to_a_model_that_is_not_here_says_so(visit, address):
    page = visit(f"{address}#model=gone&text=a")
    expect(page.locator("#model-problem")).to_have_text("The link asks for the model gone, which is not served here.")
