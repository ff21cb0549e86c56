import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from embeddings.errors import ConfigError, OutputError
from serve.key_ring import KeyRing
from serve.keys import add_key, digest_of, read_keys, revoke_key, rotate_key


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


@pytest.fixture
def clock():
    return Clock()


def ring_of(file, clock):
    return KeyRing(file, clock, clock.now)


def test_a_file_holds_the_sha256_of_a_key_and_not_the_key(file):
    token = add_key(file, "search")
    ((secret,),) = [key.secrets for key in read_keys(file)]
    assert secret.sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert token not in file.read_text()


def test_a_key_has_256_bits_and_is_never_the_same(file):
    first, second = (add_key(file, name) for name in "ab")
    assert first != second and first.startswith("telmo_")
    # 43 digits of base 64 hold 256 bits.
    assert len(first) == len("telmo_") + 43


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_only_its_owner_reads_a_key_file_and_a_group_that_could_before(file):
    add_key(file, "a")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    add_key(file, "b")
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_key_opens_until_it_is_revoked(file, clock):
    token = add_key(file, "search", models=["docs-*", "ner"])
    ring = ring_of(file, clock)
    key = ring.find(token)
    assert key.name == "search"
    assert [key.may_ask(model) for model in ("docs-library", "ner", "nerd", "docs")] == [True, True, False, False]
    revoke_key(file, "search")
    clock.seconds += 2
    assert ring.find(token) is None


@pytest.mark.parametrize("token", ["", "telmo_", "telmo_" + "A" * 43, "telmo_" + "é" * 43, "x" * 10_000, "telmo_\n"])
def test_what_is_no_key_opens_nothing(file, clock, token):
    add_key(file, "search")
    assert ring_of(file, clock).find(token) is None


def test_the_digest_of_a_key_is_no_key(file, clock):
    token = add_key(file, "search")
    assert ring_of(file, clock).find(digest_of(token)) is None


def test_both_secrets_open_while_one_takes_the_place_of_the_other(file, clock):
    old = add_key(file, "search")
    new = rotate_key(file, "search", timedelta(hours=24))
    ring = ring_of(file, clock)
    assert ring.find(old).name == ring.find(new).name == "search"
    clock.seconds += 24 * 3600 + 1
    assert ring.find(old) is None and ring.find(new)


def test_a_secret_ends_at_once_without_an_overlap(file, clock):
    old = add_key(file, "search")
    new = rotate_key(file, "search", timedelta())
    assert ring_of(file, clock).find(old) is None and ring_of(file, clock).find(new)


def test_rotating_again_does_not_keep_the_oldest_secret(file, clock):
    tokens = [add_key(file, "search"), *(rotate_key(file, "search", timedelta(hours=24)) for _ in range(2))]
    ring = ring_of(file, clock)
    assert [bool(ring.find(token)) for token in tokens] == [False, True, True]


def test_a_second_rotation_does_not_prolong_a_secret_that_ends(file):
    add_key(file, "search")
    rotate_key(file, "search", timedelta(hours=1))
    first = read_keys(file)[0].secrets[0].expires
    rotate_key(file, "search", timedelta(hours=1))
    assert all(secret.expires is None or secret.expires >= first for secret in read_keys(file)[0].secrets)


def test_a_key_that_expires_opens_nothing_more(file, clock):
    token = add_key(file, "search", expires=clock.now() + timedelta(days=90))
    ring = ring_of(file, clock)
    assert ring.find(token)
    clock.seconds += 90 * 86_400 + 1
    assert ring.find(token) is None


def test_a_running_server_sees_a_new_key(file, clock):
    add_key(file, "a")
    ring = ring_of(file, clock)
    token = add_key(file, "b")
    clock.seconds += 2
    assert ring.find(token).name == "b"


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "not what keys are"])
def test_a_broken_file_changes_nothing_and_is_told_once(file, clock, caplog, damage):
    token = add_key(file, "a")
    ring = ring_of(file, clock)
    content = {"empty": "", "cut": file.read_text()[:50], "not what keys are": '{"keys": [{"name": 1}]}'}
    file.unlink() if damage == "gone" else file.write_text(content[damage])
    for _ in range(3):
        clock.seconds += 2
        assert ring.find(token).name == "a"
    assert len(caplog.records) == 1 and str(file) in caplog.text and token not in caplog.text


def test_a_mended_file_counts_again(file, clock):
    token = add_key(file, "a")
    content = file.read_bytes()
    ring = ring_of(file, clock)
    file.write_text("{")
    clock.seconds += 2
    assert ring.find(token)
    file.write_bytes(content.replace(b'"a"', b'"other"'))
    clock.seconds += 2
    assert ring.find(token).name == "other"


GOOD = {"name": "a", "secrets": [{"sha256": "0" * 64}], "created": "2026-01-31T12:00:00Z"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "the file: "),
        ({"keys": [GOOD | {"modles": ["x"]}]}, "keys.0.modles: extra inputs are not permitted"),
        ({"keys": [GOOD, GOOD]}, "keys: two keys have the name 'a'"),
        ({"keys": [GOOD, GOOD | {"name": "b"}]}, "keys: two of the secrets are the same"),
        ({"keys": [GOOD | {"models": ["a*b"]}]}, "keys.0.models: found 'a*b'; expected a name"),
        ({"keys": [GOOD | {"name": "a\nb"}]}, "keys.0.name: found 'a\\nb'; expected at most 64 letters"),
        ({"keys": [GOOD | {"secrets": [{"sha256": "secret"}]}]}, "keys.0.secrets.0.sha256"),
        (
            {"keys": [GOOD | {"actions": ["admin"]}]},
            "keys.0.actions.0: input should be 'predict', ",
        ),
        ({"keys": [GOOD | {"requests_per_minute": 0}]}, "keys.0.requests_per_minute"),
        ({"keys": [GOOD | {"expires": "2026-01-31T12:00:00"}]}, "keys.0.expires: input should have timezone info"),
    ],
)
def test_a_file_that_does_not_say_what_keys_there_are_is_refused(file, content, message):
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigError) as refused:
        read_keys(file)
    assert str(refused.value).startswith(f"{file}: {message}")


def test_a_server_does_not_start_without_its_key_file(file):
    with pytest.raises(ConfigError, match="cannot be read"):
        KeyRing(file)


def test_a_name_is_taken_once(file):
    add_key(file, "a")
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="there is a key 'a' already"):
        add_key(file, "a")
    assert file.read_bytes() == before


def test_a_broken_file_is_not_written_over(file):
    file.write_text("{")
    for change in (add_key, revoke_key):
        with pytest.raises(ConfigError):
            change(file, "a")
    assert file.read_text() == "{"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        add_key(tmp_path / "file" / "keys.json", "a")


def test_writers_at_the_same_time_lose_no_key(house, file):
    code = "import sys, pathlib; from serve.keys import add_key; add_key(pathlib.Path(sys.argv[1]), sys.argv[2])"
    writers = [subprocess.Popen([sys.executable, "-c", code, file, f"n{k}"], cwd=house) for k in range(6)]
    assert [writer.wait(60) for writer in writers] == [0] * 6
    assert {key.name for key in read_keys(file)} == {f"n{k}" for k in range(6)}


def test_a_link_to_a_key_file_stays_one(file, tmp_path):
    add_key(file, "a")
    link = tmp_path / "link.json"
    link.symlink_to(file)
    add_key(link, "b")
    assert link.is_symlink() and [key.name for key in read_keys(file)] == ["a", "b"]
