"""The `config.json` of an AllenNLP archive, read key by key, so that none is passed over unseen."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from embeddings.archive import Tree
from embeddings.errors import SourceError

_MISSING: Any = object()
_NAMES = {dict: "a section", list: "a list", str: "a string", bool: "true or false", int: "a whole number"}


def read_json(tree: Tree, name: str) -> Any:
    """A JSON file of an archive.

    Raises:
        SourceError: it cannot be read or is no JSON.
    """
    try:
        return json.loads(tree.read(name).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{tree.where(name)}: not JSON ({error})") from None


class Section:
    """A section of the config.

    What is taken from it is noted; `close` refuses what was not, since it may change the model's answers.

    Args:
        values: what stands there.
        path: its place in the file, such as `model.encoder`.
        where: the file, for messages.

    Raises:
        SourceError: `values` is no section.
    """

    def __init__(self, values: Any, path: str, where: str):
        self.path, self.where = path, where
        if not isinstance(values, dict):
            self.fail("", f"is {_shown(values)}; expected a section")
        self._values = values
        self._taken: set[str] = set()

    def fail(self, key: str, message: str) -> NoReturn:
        """Refuse the archive because of a key.

        Raises:
            SourceError: always.
        """
        place = ".".join(filter(None, (self.path, key)))
        raise SourceError(f"{self.where}: '{place}' {message}")

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def take(self, key: str, default: Any = _MISSING, kind: type | tuple[type, ...] | None = None) -> Any:
        """The value of a key; null counts as absent.

        Raises:
            SourceError: it is absent and there is no default, or is of another kind.
        """
        self._taken.add(key)
        value = self._values.get(key)
        if value is None:
            if default is _MISSING:
                self.fail(key, "is missing")
            return default
        kinds = kind if isinstance(kind, tuple) else (kind,)
        # True is a whole number to Python.
        if kind is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):  # type: ignore[arg-type]
            self.fail(key, f"is {_shown(value)}; expected {' or '.join(_NAMES[k] for k in kinds if k in _NAMES)}")
        return value

    def section(self, key: str) -> "Section":
        """A section below this one.

        Raises:
            SourceError: it is absent or no section.
        """
        return Section(self.take(key), ".".join(filter(None, (self.path, key))), self.where)

    def choice(self, key: str, choices: Sequence[str], default: Any = _MISSING) -> str:
        """The value of a key that names one of the parts that can be converted.

        Raises:
            SourceError: it names another.
        """
        value = self.take(key, default, str)
        if value not in choices:
            self.fail(key, f"is '{value}', which cannot be converted; expected {' or '.join(choices)}")
        return value

    def check(self, key: str, found: int) -> None:
        """Hold a size against that of the weights; the weights rule, and nothing is ever made by the config's sizes.

        Raises:
            SourceError: they differ.
        """
        value = self.take(key, found, int)
        if value != found:
            self.fail(key, f"is {value}; the weights have {found}")

    def only(self, key: str, *allowed: Any) -> None:
        """Refuse any but these values of a key, whose first is what an absent key means.

        Raises:
            SourceError: it has another.
        """
        value = self.take(key, allowed[0])
        if not any(value == known and type(value) is type(known) for known in (None, *allowed)):
            self.fail(key, f"is {_shown(value)}, which cannot be converted; expected {_shown(allowed[0])}")

    def ignore(self, *keys: str) -> None:
        """Keys that do not change what a trained model answers."""
        self._taken.update(keys)

    def close(self) -> None:
        """Refuse whatever was not taken.

        Raises:
            SourceError: a key is left.
        """
        for key, value in self._values.items():
            if key not in self._taken and value is not None:
                self.fail(key, f"is {_shown(value)}, which cannot be converted; no such option is known")


def listed(section: Section, key: str, count: int, default: Any = _MISSING) -> list:
    """A value for each of several layers: a list, or one value for all.

    Raises:
        SourceError: the list is of another length.
    """
    value = section.take(key, default)
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        section.fail(key, f"has {len(value)} values; the weights have {count} layers")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
