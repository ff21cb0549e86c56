"""True translation pairs without a download: how people who speak English, Portuguese and Russian write the same
dates, numbers and units, by the CLDR data that come with Babel.

Every date or number is written in several ways, all of them in one split, and no source stands in two: so that what
is held out is new. Runs of white space are one space. The files are made once and kept in `cache_folder()`, under the
version of Babel.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from embeddings.atomic import atomic_folder
from embeddings.errors import InputError
from pipeline.docs_corpus import SPLITS, cache_folder

PREFIX = "babel:"
SOURCE = "en"
TARGETS = ("pt", "ru")
BUILD = 1
"""Raised when the same version of Babel would give other pairs."""

ITEMS = {"test": 500, "validation": 300, "train": 4000}
"""Dates or numbers of a split, the smallest first: what is held out stays the same when there is more to train on."""

UNITS = (
    "area-hectare",
    "area-square-kilometer",
    "digital-gigabyte",
    "duration-day",
    "duration-hour",
    "duration-minute",
    "duration-month",
    "duration-second",
    "duration-week",
    "duration-year",
    "energy-kilowatt-hour",
    "length-centimeter",
    "length-foot",
    "length-kilometer",
    "length-meter",
    "length-mile",
    "mass-gram",
    "mass-kilogram",
    "mass-pound",
    "mass-tonne",
    "power-watt",
    "speed-kilometer-per-hour",
    "temperature-celsius",
    "volume-cubic-meter",
    "volume-liter",
)


@dataclass(frozen=True)
class Pair:
    """The same thing in two languages."""

    source: str
    target: str


def babel_file(handle: str) -> Path:
    """The file behind a handle: `babel:KIND-LANGUAGE/SPLIT`, a TSV with the columns `source` and `target`.

    Args:
        handle: KIND is dates, numbers or units; LANGUAGE pt or ru; SPLIT train, validation or test.

    Raises:
        InputError: there is no such part.
    """
    part, _, split = handle.removeprefix(PREFIX).partition("/")
    kind, _, language = part.partition("-")
    if kind not in KINDS or language not in TARGETS or split not in SPLITS:
        expected = f"{'|'.join(KINDS)}-{'|'.join(TARGETS)}/{'|'.join(SPLITS)}"
        raise InputError(f"{handle}: no such pairs; expected {PREFIX}{expected}")
    from babel import __version__

    folder = cache_folder() / f"babel-{__version__}-{BUILD}-{part}"
    if not folder.is_dir():
        with atomic_folder(folder, [f"{name}.tsv" for name in SPLITS]) as temporary:
            for name, pairs in pairs_of(kind, language).items():
                with (temporary / f"{name}.tsv").open("w", encoding="utf-8", newline="") as file:
                    rows = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
                    rows.writerow(["source", "target"])
                    rows.writerows([pair.source, pair.target] for pair in pairs)
    return folder / f"{split}.tsv"


def pairs_of(kind: str, language: str, seed: int = 0) -> dict[str, list[Pair]]:
    """The pairs of each split, in a random order.

    Args:
        kind: dates, numbers or units.
        language: of the targets.
        seed: of what is drawn.
    """
    random = Random(f"{kind} {seed}")
    draw, write = KINDS[kind]
    drawn: dict[Any, Any] = {}
    while len(drawn) < sum(ITEMS.values()):
        thing, form = draw(random)
        drawn.setdefault(thing, form)
    things = iter(drawn.items())
    # Of a text with two meanings, such as `May 5, 2019`, the long form or the short one, the first is kept.
    seen = {""}
    splits = {}
    for split, count in ITEMS.items():
        pairs = []
        for thing, form in islice(things, count):
            for texts in zip(write(thing, form, SOURCE), write(thing, form, language), strict=True):
                source, target = (" ".join(text.split()) for text in texts)
                if source not in seen and target:
                    seen.add(source)
                    pairs.append(Pair(source, target))
        random.shuffle(pairs)
        splits[split] = pairs
    return splits


def _draw_date(random: Random) -> tuple[date, None]:
    first, end = date(1900, 1, 1), date(2100, 1, 1)
    return first + timedelta(random.randrange((end - first).days)), None


def _dates(day: date, form: None, locale: str) -> Iterator[str]:
    """All with the year and its century, without which a date could not be told from that of another split."""
    from babel.dates import format_date, format_skeleton

    for name in ("full", "long", "medium"):
        yield format_date(day, name, locale)
    for skeleton in ("yMd", "yMEd", "yMMMEd"):
        yield format_skeleton(skeleton, day, locale=locale)


def _draw_number(random: Random) -> Decimal:
    """Numbers of few digits are as frequent as those of many."""
    digits, places = random.randint(1, 7), random.choice((0, 0, 1, 2))
    return Decimal(random.randrange(10 ** (digits - 1), 10**digits)) / 10**places


def _draw_amount(random: Random) -> tuple[Decimal, str]:
    return _draw_number(random), random.choice(("BRL", "EUR", "RUB", "USD"))


def _numbers(number: Decimal, currency: str, locale: str) -> Iterator[str]:
    from babel.numbers import format_currency, format_decimal, format_percent

    yield format_decimal(number, locale=locale)
    yield format_percent(round(number) / Decimal(100), locale=locale)
    yield format_currency(number, currency, locale=locale)


def _draw_measure(random: Random) -> tuple[Decimal, list[str]]:
    return _draw_number(random), random.sample(UNITS, 3)


def _units(number: Decimal, units: list[str], locale: str) -> Iterator[str]:
    from babel.units import format_unit

    for unit in units:
        for length in ("long", "short"):
            text = format_unit(number, unit, length=length, locale=locale)  # type: ignore[arg-type]
            # Babel writes the name of the unit where it lacks the plural that CLDR has.
            yield "" if unit in text else text


KINDS: dict[str, tuple[Callable[[Random], tuple[Any, Any]], Callable[[Any, Any, str], Iterator[str]]]] = {
    "dates": (_draw_date, _dates),
    "numbers": (_draw_amount, _numbers),
    "units": (_draw_measure, _units),
}
"""How a thing is drawn, with the choice of what to write of it; and the ways to write it in the language of a
locale."""
