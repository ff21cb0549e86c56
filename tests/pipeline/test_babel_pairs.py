from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import combinations

import pytest

from embeddings.errors import InputError
from pipeline import babel_pairs
from pipeline.babel_pairs import KINDS, SOURCE, TARGETS
from pipeline.embedded import embedded_file

pairs_of = cache(babel_pairs.pairs_of)

MONTHS = ["janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho"]
MONTHS += ["agosto", "setembro", "outubro", "novembro", "dezembro"]
DAYS = ["segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado", "domingo"]
FORMS = {
    "%A, %B %d, %Y": "{weekday}, {day} de {month} de {year}",
    "%B %d, %Y": "{day} de {month} de {year}",
    "%b %d, %Y": "{day} de {short} de {year}",
    "%m/%d/%Y": "{day:02}/{number:02}/{year}",
    "%a, %m/%d/%Y": "{weekday_short}., {day:02}/{number:02}/{year}",
    "%a, %b %d, %Y": "{weekday_short}., {day} de {short} de {year}",
}


def read(source):
    """The date that an English text means, and how it is written."""
    for form in FORMS:
        try:
            return datetime.strptime(source, form), form
        except ValueError:
            continue
    raise AssertionError(f"no date: {source}")


def in_portuguese(day, form):
    month, weekday = MONTHS[day.month - 1], DAYS[day.weekday()]
    return FORMS[form].format(
        weekday=weekday,
        weekday_short=weekday[:3],
        day=day.day,
        month=month,
        short=month[:3] + ".",
        number=day.month,
        year=day.year,
    )


def test_a_date_in_portuguese_is_that_date():
    for pairs in pairs_of("dates", "pt").values():
        for pair in pairs:
            assert pair.target == in_portuguese(*read(pair.source))


def test_no_date_is_in_two_splits():
    days = [{read(pair.source)[0] for pair in pairs} for pairs in pairs_of("dates", "ru").values()]
    assert all(len(split) > 200 for split in days)
    assert not any(one & other for one, other in combinations(days, 2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", TARGETS)
def test_no_source_is_there_twice_and_no_target_lacks_a_word(kind, language):
    pairs = [pair for split in pairs_of(kind, language).values() for pair in split]
    assert len({pair.source for pair in pairs}) == len(pairs) > 10_000
    for pair in pairs:
        for text in (pair.source, pair.target):
            assert text == " ".join(text.split()) and "\t" not in text
            # The names that CLDR gives units, where a translation of one is missing.
            assert "duration-" not in text and "length-" not in text and "mass-" not in text


def test_numbers_and_units_are_written_as_people_write_them():
    things = {"numbers": (Decimal("1234.5"), "USD"), "units": (Decimal(5), ["length-kilometer"])}
    known = {
        ("numbers", "en"): ["1,234.5", "1,234%", "$1,234.50"],
        ("numbers", "pt"): ["1.234,5", "1.234%", "US$ 1.234,50"],
        ("numbers", "ru"): ["1 234,5", "1 234 %", "1 234,50 $"],
        ("units", "en"): ["5 kilometers", "5 km"],
        ("units", "pt"): ["5 quilômetros", "5 km"],
        ("units", "ru"): ["5 километров", "5 км"],
    }
    for kind, (number, form) in things.items():
        for locale in (SOURCE, *TARGETS):
            written = KINDS[kind][1](number, form, locale)
            assert [" ".join(text.split()) for text in written] == known[kind, locale]


def test_a_handle_names_a_file_of_pairs(tmp_path, monkeypatch):
    monkeypatch.setenv("TELMO_CACHE", str(tmp_path))
    header, *rows = embedded_file("babel:units-ru/test").read_text("utf-8").splitlines()
    assert header == "source\ttarget"
    # Made anew, and the same.
    assert rows == [f"{pair.source}\t{pair.target}" for pair in pairs_of("units", "ru")["test"]]
    assert embedded_file("babel:units-ru/train").is_file()
    for wrong in ("babel:", "babel:dates-pt", "babel:dates-fr/test", "babel:names-pt/test", "babel:dates-pt/dev"):
        with pytest.raises(InputError, match=r"no such pairs; expected babel:dates\|numbers"):
            embedded_file(wrong)
