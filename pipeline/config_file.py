"""A config as it is written: its values, and where each of them stands."""

import dataclasses
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from embeddings.errors import ConfigError


class Section(BaseModel):
    """Keys and values that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Config = TypeVar("Config", bound=Section)


@dataclass(frozen=True)
class ConfigFile:
    """What a config file says.

    Args:
        path: of the file.
        values: of its keys, with the changes.
        node: the YAML, for its lines.
        changes: `key=value` from the command line.
    """

    path: Path
    values: dict[str, Any]
    node: yaml.Node | None = None
    changes: Sequence[str] = ()

    @classmethod
    def read(cls, path: Path, changes: Sequence[str] | None = None) -> "ConfigFile":
        """Read a YAML file.

        Args:
            path: the file.
            changes: `key=value`, such as `training.epochs=3`; the value is YAML.

        Raises:
            ConfigError: the file cannot be read, or a change cannot be made.
        """
        values, node = _yaml(path)
        for change in changes or ():
            _change(values, change)
        return cls(path, values, node, changes or ())

    def validated(self, kind: type[Config]) -> Config:
        """The config that the values make.

        Raises:
            ConfigError: a key is unknown, missing or of a wrong type; the message names the line or the change, and
                the key.
        """
        try:
            return kind.model_validate(self.values)
        except ValidationError as error:
            raise ConfigError("\n".join(self.problem(kind, detail) for detail in error.errors())) from None

    def problem(self, kind: type[Section], detail: Any) -> str:
        """One line for a person: where, the key, what was found and what was expected.

        Args:
            kind: of config.
            detail: of pydantic's `ValidationError.errors`.
        """
        # Where a value may be of several types, pydantic names the type, too.
        keys = [str(part) for part in detail["loc"] if "[" not in str(part)]
        place, key = self.place(keys), ".".join(keys)
        if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            known = _known_keys(kind, keys[:-1])
            close = difflib.get_close_matches(keys[-1], known, n=1)
            expected = f"; expected one of {', '.join(known)}" if known else ""
            return f"{place}: unknown key '{key}'" + (f"; did you mean '{close[0]}'?" if close else expected)
        if detail["type"] == "missing":
            return f"{place}: key '{key}' is missing"
        if detail["type"] == "union_tag_not_found":
            return f"{place}: key '{key}.kind' is missing"
        if detail["type"] == "union_tag_invalid":
            return (
                f"{place}: '{key}.kind' is '{detail['ctx']['tag']}'; expected one of {detail['ctx']['expected_tags']}"
            )
        if detail["type"] == "value_error":
            return f"{place}: '{key}': {detail['ctx']['error']}" if key else f"{place}: {detail['ctx']['error']}"
        message = detail["msg"].removeprefix("Input should be ").removeprefix("String should have ")
        return f"{place}: '{key}' is {detail['input']!r}; expected {message}"

    def place(self, keys: Sequence[str]) -> str:
        """The change that set a key; else its line, or that of the section that lacks it, with what changed in it."""
        line, key = _line(self.node, keys), ".".join([*keys, ""])
        inside: list[str] = []
        for change in reversed(self.changes):
            changed = change.partition("=")[0] + "."
            if key.startswith(changed):
                return f"--set {change}"
            if keys and changed.startswith(key):
                inside.insert(0, f" --set {change}")
        return f"{self.path}" + (f" line {line}" if line else "") + (" with" if inside else "") + "".join(inside)


def set_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a key such as `training.epochs`.

    Raises:
        ValueError: what stands above it is no section.
    """
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ValueError(f"'{section}' is a value, not a section")
    values[last] = value


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys as one, with dots between them."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _yaml(path: Path) -> tuple[dict[str, Any], yaml.Node | None]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8; expected a YAML config") from None
    try:
        values, node = yaml.safe_load(text), yaml.compose(text)
    except ValueError as error:
        raise ConfigError(f"{path}: not YAML ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: not YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(values, dict):
        found = "nothing" if values is None else type(values).__name__
        raise ConfigError(f"{path}: found {found}; expected keys and values")
    return values, node


def _change(values: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {change}: expected key=value, such as training.epochs=3")
    try:
        set_value(values, key, yaml.safe_load(value))
    except ValueError as error:
        raise ConfigError(f"--set {change}: {error}") from None
    except yaml.YAMLError:
        raise ConfigError(f"--set {change}: '{value}' is not a YAML value") from None


def _known_keys(kind: Any, keys: list[str]) -> list[str]:
    for key in keys:
        kind = getattr(kind, "model_fields", None) and kind.model_fields[key].annotation
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(getattr(kind, "model_fields", {}))


def _line(node: yaml.Node | None, keys: Sequence[str]) -> int | None:
    """The line of a key, or of the section that lacks it."""
    line = None
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            break
        found = next(((name, value) for name, value in node.value if name.value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
