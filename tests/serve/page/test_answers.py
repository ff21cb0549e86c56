"""What the page shows of the answers of every task."""

import json
import re

import pytest
from reference.page_visitor import answer, ask, rows

expect = pytest.importorskip("playwright.sync_api", reason="no playwright on this machine").expect


def test_a_text_is_classified_with_a_bar_for_each_label(page):
    ask(page, "topics", "The cell divides.")
    table = answer(page).get_by_role("table", name="Probability of each label")
    expect(table).to_be_visible()
    assert [row[-1] for row in rows(table)[1:]] == ["60.0 %", "30.0 %", "10.0 %", "0.0 %"]
    widths = [bar.bounding_box()["width"] for bar in table.locator(".fill").all()]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.02) and widths[1] == pytest.approx(3 * widths[2], rel=0.02)
    expect(page.get_by_role("status")).to_have_text("topics, version 3 answers: biology, 60.0 %.")
    expect(answer(page)).to_contain_text(re.compile(r"4\.2 ms in the server, [\d.]+ ms round trip"))


def test_every_label_of_a_text_is_marked(page):
    ask(page, "genres", "Two thieves.")
    expect(answer(page).get_by_role("list", name="Labels").get_by_role("listitem")).to_have_text(
        ["drama 90.0 %", "crime 70.0 %"]
    )
    expect(answer(page).get_by_role("rowheader")).to_have_text(["✓chosen: drama", "✓chosen: crime", "comedy", "war"])
    expect(answer(page)).to_contain_text("< 0.1 %")


@pytest.mark.parametrize(
    "text", ["Ada met Bob", "🙂 Ada 👩‍👩‍👧 and Zoe\u0308 🎉\nBob", "\U0001f600\U0001f600 ok \U0001f600", "שלום Ada 🙂"]
)
def test_spans_are_marked_where_they_are(page, text):
    ask(page, "names, version 7", text)
    marked = answer(page).locator("mark")
    expect(marked.first).to_be_visible()
    expected = re.findall(r"[A-Z][\w\u0308]*|[\U00010000-\U0010ffff]", text)
    assert marked.evaluate_all("marks => marks.map((mark) => mark.firstChild.data)") == expected
    # What is shown is the text, with nothing lost and nothing twice.
    shown = (
        answer(page)
        .locator(".highlighted")
        .evaluate(
            "box => { const copy = box.cloneNode(true); copy.querySelectorAll('.label').forEach((l) => l.remove());"
            " return copy.textContent; }"
        )
    )
    assert shown == text
    answer(page).get_by_text("as a table").click()
    expect(answer(page).get_by_role("table")).to_be_visible()
    found = rows(answer(page).get_by_role("table"))[1:]
    assert [row[1] for row in found] == expected
    assert [text[int(start) : int(end)] for *_, start, end in found] == expected


def test_a_text_without_spans_says_so(page):
    ask(page, "names, version 7", "nobody is here")
    expect(answer(page)).to_contain_text("No spans")
    expect(answer(page).locator(".highlighted")).to_have_text("nobody is here")


def test_tags_of_no_scheme_stand_under_their_words(page):
    ask(page, "parts", "The cat sat on a mat.")
    expect(answer(page).locator("mark .label")).to_have_text(["DET", "NOUN", "VERB", "ADP", "DET", "NOUN", "PUNCT"])
    colours = (
        answer(page).locator("mark").evaluate_all("marks => marks.map((m) => getComputedStyle(m).backgroundColor)")
    )
    assert colours[0] == colours[4] and colours[1] == colours[5] and len(set(colours)) == 5


def test_a_long_text_is_shown_in_parts(page):
    ask(page, "parts", "cat " * 2500)
    expect(answer(page).locator("mark")).to_have_count(1000)
    answer(page).get_by_role("button", name="Show all 2,500 words").click()
    expect(answer(page).locator("mark")).to_have_count(2500)


def test_a_translation_comes_with_its_hypotheses(page):
    ask(page, "dates", "May 5")
    expect(answer(page).locator(".translation")).to_have_text("May 5!")
    assert rows(answer(page).get_by_role("table"))[1:] == [
        ["1", "May 5!", "\u22120.123"],
        ["2", "May 5?", "\u22122.500"],
    ]


def test_a_model_of_pairs_reads_two_texts(page, service):
    expect(page.get_by_label("Second text")).to_be_hidden()
    ask(page, "same")
    expect(answer(page).get_by_role("list", name="Labels")).to_have_text("other 100.0 %")
    assert service.asked[-1] == [["a cat", "a dog"]]
    ask(page, "same", "a cat", "a cat")
    expect(answer(page).get_by_role("list", name="Labels")).to_have_text("same 100.0 %")


def test_a_model_is_described(page):
    card = page.get_by_role("complementary", name="topics")
    weights = card.get_by_role("table", name="How much the model takes of each layer of its biLM")
    expect(weights).to_be_visible()
    assert rows(weights)[1:] == [["0 · characters", "20.0 %"], ["1 · biLSTM", "50.0 %"], ["2 · biLSTM", "30.0 %"]]
    assert rows(card.get_by_role("table", name="Metrics")) == [["accuracy", "0.912"], ["macro f1", "0.9"]]
    expect(card).to_contain_text("3 layers of 1024")
    page.get_by_label("Model", exact=True).select_option("genres")
    expect(page.get_by_role("complementary", name="genres")).not_to_contain_text("ELMo layer weights")


def test_an_older_version_is_asked_for_by_its_number(page):
    ask(page, "names, version 6 (draining)", "Ada")
    expect(answer(page)).to_contain_text("names, version 6")
    ask(page, "names, version 7", "Ada")
    expect(answer(page)).to_contain_text("names, version 7")
    expect(page.locator("#curl")).not_to_contain_text("version")


INJECTION = "<img src=x onerror=alert(1)> <script>alert(1)</script> Ada"


@pytest.mark.parametrize("model", ["topics", "names, version 7", "parts", "dates"])
def test_html_in_a_text_stays_text(page, model):
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    ask(page, model, INJECTION)
    expect(page.get_by_role("status")).to_contain_text("answers")
    assert page.locator("main img, main script, main b b").count() == 0
    assert "onerror=alert(1)" in page.locator("#curl").inner_text()


def test_html_in_a_label_stays_text(page):
    ask(page, "topics", "text")
    expect(answer(page).get_by_role("rowheader", name="<b>history</b>")).to_be_visible()
    expect(page.get_by_role("complementary").get_by_text("<b>history</b>")).to_be_visible()


def test_the_answer_is_there_as_json(page):
    ask(page, "topics", "The cell divides.")
    answer(page).get_by_text("The answer as JSON").click()
    shown = json.loads(answer(page).get_by_role("group", name="The answer as JSON").inner_text())
    assert shown["model"] == "topics" and shown["version"] == "3" and shown["milliseconds"] == 4.21
    ask(page, "parts", "cat " * 2000)
    expect(page.locator("#answer-by")).to_contain_text("parts")
    answer(page).get_by_text("The answer as JSON").click()
    expect(answer(page).locator("pre")).to_contain_text("The command below gives all of it.")
