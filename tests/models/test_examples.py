import pytest

from models.examples import Examples

BIO = ["B-X", "I-X", "O", "B-X"]
BIOUL = ["B-X", "L-X", "O", "U-X"]


@pytest.mark.parametrize(
    ("labels", "scheme", "expected"),
    [
        (["O", "B-X", "I-X", "L-X", "U-X"], None, BIOUL),
        (["O", "B-X", "I-X", "L-X", "U-X"], "BIOUL", BIOUL),
        (["O", "B-X", "I-X"], None, BIO),
        (["O", "B-X", "I-X"], "IOB1", ["I-X", "I-X", "O", "I-X"]),
        (["NOUN", "VERB"], None, BIO),
    ],
)
def test_tags_are_brought_to_the_scheme_of_a_model(labels, scheme, expected):
    examples = Examples([["a", "b", "c", "d"]], [BIO], ["line 1"])
    assert examples.in_scheme(labels, scheme).targets == [expected]


def test_tags_of_no_scheme_are_left_alone():
    examples = Examples([["a", "b"]], [["NOUN", "O"]], ["line 1"])
    assert examples.in_scheme(["O", "B-X", "I-X", "L-X", "U-X"]).targets == [["NOUN", "O"]]
