import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.cli import main
from serve.key_ring import KeyRing
from serve.keys import read_keys


@pytest.fixture
def keys(command):
    """Run `telmo keys`, as `command`."""
    return lambda *arguments: command("keys", *arguments)


def test_a_key_is_made_and_shown_once(keys, tmp_path):
    code, out, err = keys("add", "keys.json", "search", "--model", "docs-*", "--model", "ner", "--expires", "90d")
    assert (code, err) == (0, "") and out.count("\n") == 1
    file = tmp_path / "keys.json"
    key = KeyRing(file).find(out.strip())
    assert (key.name, key.models, key.actions) == ("search", ["docs-*", "ner"], ["predict", "embed"])
    assert timedelta(days=89) < key.expires - datetime.now(UTC) < timedelta(days=91)
    assert out.strip() not in file.read_text() + keys("list", "keys.json")[1]


def test_a_key_is_rotated_and_revoked(keys, tmp_path):
    old = keys("add", "keys.json", "ops", "--action", "metrics", "--requests-per-minute", "60")[1].strip()
    new = keys("rotate", "keys.json", "ops", "--overlap", "1h")[1].strip()
    ring = KeyRing(tmp_path / "keys.json")
    assert ring.find(old) == ring.find(new) and ring.find(new).requests_per_minute == 60
    assert keys("revoke", "keys.json", "ops") == (0, "keys.json: 'ops' is revoked\n", "")
    assert read_keys(tmp_path / "keys.json") == []


def test_keys_are_listed_without_their_secrets(keys):
    keys("add", "keys.json", "a", "--words-per-minute", "1000", "--expires", "2037-01-31")
    keys("add", "keys.json", "b")
    keys("rotate", "keys.json", "b")
    rows = [line.split("\t") for line in keys("list", "keys.json")[1].splitlines()]
    assert rows[1][:5] == ["a", "*", "predict,embed", "-", "1000"] and rows[1][6] == "2037-01-31"
    assert rows[2][0] == "b" and rows[2][6].startswith("never (the old one ")
    first, second = json.loads(keys("list", "keys.json", "--json")[1])
    assert first["expires"] == "2037-01-31T00:00:00Z" and (first["secrets"], second["secrets"]) == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["add", "keys.json", "a b"], 2, "the new key: name: found 'a b'; expected at most 64 letters"),
        (["add", "keys.json", "known"], 2, "keys.json: there is a key 'known' already"),
        (["rotate", "keys.json", "nobody"], 2, "keys.json: no key 'nobody'; expected one of known"),
        (["revoke", "none.json", "known"], 2, "none.json: cannot be read (no such file or directory)"),
        (["list", "none.json"], 2, "none.json: cannot be read (no such file or directory)"),
        (["list", "."], 2, ".: cannot be read (is a directory)"),
        (["add", "keys.json", "a", "--action", "admin"], 2, "'admin'; expected one of predict, embed, metrics"),
        (["add", "keys.json", "a", "--expires", "soon"], 2, "'soon'; expected a time such as 90d"),
        (["add", "keys.json", "a", "--expires", "999999999d"], 2, "past the calendar"),
        (["add", "keys.json", "a", "--expires", "2020-01-01"], 2, "'2020-01-01' is over; expected a time that comes"),
        (["add", "keys.json", "a", "--requests-per-minute", "0"], 2, "greater than or equal to 1"),
        (["rotate", "keys.json", "known", "--overlap", "1y"], 2, "'1y'; expected a time such as 24h"),
        (["add", "keys.json/keys.json", "a"], 1, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(keys, tmp_path, arguments, code, message):
    keys("add", "keys.json", "known")
    before = (tmp_path / "keys.json").read_bytes()
    found, out, err = keys(*arguments)
    # A long line is broken in a box.
    told = " ".join(err.replace("│", " ").split())
    assert (found, out) == (code, "") and message in told and "Traceback" not in err
    assert (tmp_path / "keys.json").read_bytes() == before


def test_keys_load_nothing_heavy(house, tmp_path):
    heavy = ["tensorflow", "keras", "fastapi", "starlette", "mlflow", "numpy"]
    code = f"""
import sys
from pipeline.cli import main
try:
    main(["keys", "add", {str(tmp_path / "keys.json")!r}, "a"])
except SystemExit:
    pass
print([module for module in {heavy} if module in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=house, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keys", "none.json"], "none.json: cannot be read"),
        (["--cors-origin", "https://example.org/"], "expected one such as https://example.org"),
        (["--cors-origin", "null"], "expected one such as https://example.org"),
        (["--allowed-host", "example.org:8000"], "expected a name such as example.org, without a port"),
        (["--allowed-host", "*"], "expected a name such as example.org, without a port"),
    ],
)
def test_a_server_does_not_start_with_protection_that_is_none(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["serve", "no-model", *arguments])
    assert end.value.code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
