"""Requests that no good caller sends, each made by its number: damaged JSON, tensors, CSV, lines, headers and paths."""

import copy
import gzip
import json
import random
import struct
import zlib
from dataclasses import dataclass, field
from urllib.parse import quote

TEXTS = ["The cat sat .", "Ünï isn't here"]
TENSOR = {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS}
INFER = {
    "id": "1",
    "parameters": {"binary_data_output": False, "logits": True},
    "inputs": [TENSOR],
    "outputs": [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}],
}
SCORING = [
    {"inputs": TEXTS, "params": {"logits": True}},
    {"dataframe_split": {"columns": ["text"], "index": [0, 1], "data": [[text] for text in TEXTS]}},
    {"dataframe_records": [{"text": text} for text in TEXTS]},
    {"instances": TEXTS},
]
BODIES = {
    "/v1/models/{}:predict": [{"texts": [*TEXTS, ["a", "list"]], "logits": True, "version": None, "timeout_ms": None}],
    "/v1/models/{}:embed": [{"texts": TEXTS, "layers": "average", "pool": "mean", "version": None}],
    "/v2/models/{}/infer": [INFER, {"inputs": [TENSOR | {"shape": [2, 1], "data": [[text] for text in TEXTS]}]}],
    "/v2/models/{}/versions/1/infer": [INFER],
    "/v2/repository/index": [{"ready": True}],
    "/invocations?model={}": SCORING,
    "/endpoints/{}/invocations": SCORING,
    "/gateway/{}/invocations": SCORING,
}
PATHS = [
    *("/v1/models", "/v1/models/{}", "/v2", "/v2/models/{}", "/v2/models/{}/ready", "/v2/models/{}/versions/{}"),
    *(
        "/v2/models/{}/versions/1/ready",
        "/api/2.0/endpoints/",
        "/api/2.0/endpoints/{}",
        "/ping",
        "/version",
        "/nothing",
    ),
]
VALUES = [
    *(None, True, False, 0, -1, 2**63, 10**30, 1e308, -0.0, float("nan"), float("inf"), "", " ", "\ud800", "\x00"),
    *("x" * 5000, "( " * 300, [], {}, [[]], [None], {"a": {}}, "ünï", "1", "mix:1,2", "999", [[[["deep"]]]], ["a", 1]),
]
NAMES = ["nobody", "%00", "%FF%FE", "..%2F..%2Fetc%2Fpasswd", "%F0%9F%90%88", "a" * 3000, "%5B", "{}", "'\"", "*", ";x"]
KINDS = [
    "",
    "application/json",
    "text/csv",
    "text/plain",
    "application/x-ndjson",
    "application/octet-stream",
    "x",
    ";;",
]
KINDS += ["application/json; charset=utf-16", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
LENGTHS = ["", "-1", "0", "5", "1e3", "9" * 5000, "0x10", "²", "99999", " 7", "+3", "1_0"]
ENCODINGS = ["gzip", "deflate", "br", "gzip, gzip", "", "identity", "zip\xff"]
TIMEOUTS = ["", "-1", "nan", "inf", "1e999", "soon", "9" * 400]
BOMB = gzip.compress(bytes(40_000_000), 1)


@dataclass
class Sent:
    """A request."""

    method: str
    path: str
    content: bytes
    headers: dict[str, bytes] = field(default_factory=dict)


def malformed(number: int, models: list[str]) -> Sent:
    """The request of this number."""
    chance = random.Random(number)
    if chance.random() < 0.05:
        path = chance.choice([*PATHS, *BODIES]).replace("{}", chance.choice([*models, *NAMES]))
        return Sent(chance.choice(["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "POST"]), path, b"")
    path, bodies = chance.choice(list(BODIES.items()))
    content, headers = json_body(bodies, chance), {"Content-Type": b"application/json"}
    if "invocations" in path and chance.random() < 0.2:
        content, headers["Content-Type"] = csv_body(chance), b"text/csv"
    if path.endswith("infer") and chance.random() < 0.4:
        content, length = tensor_body(chance)
        headers["Inference-Header-Content-Length"] = length
    if path.endswith(":predict") and chance.random() < 0.3:
        lines = [json_body([{"id": 1, "text": TEXTS[0]}, *TEXTS], chance) for _ in range(5)]
        content, headers["Content-Type"] = chance.choice([b"\n", b"\r\n", b""]).join(lines), b"application/x-ndjson"
    if chance.random() < 0.2:
        damage_headers(headers, chance)
    coding = chance.choice(ENCODINGS)
    if chance.random() < 0.1:
        headers["Content-Encoding"] = coding.encode("latin-1")
        coded = {"gzip": lambda: gzip.compress(content, 1), "deflate": lambda: zlib.compress(content)}
        content = chance.choice([coded.get(coding, lambda: content)(), content, BOMB])
        content = content[: chance.choice([len(content), len(content) // 2])]
    name = chance.choice(NAMES) if chance.random() < 0.1 else chance.choice(models)
    return Sent("POST", with_query(path.replace("{}", name), chance), content, headers)


def with_query(path: str, chance: random.Random) -> str:
    if chance.random() < 0.9:
        return path
    fields = {
        name: chance.choice(["", "\x00", "x" * 2000, "2", "ü", "true", "'"]) for name in ("version", "logits", "model")
    }
    return path + ("&" if "?" in path else "?") + "&".join(f"{name}={quote(value)}" for name, value in fields.items())


def json_body(bodies: list, chance: random.Random) -> bytes:
    """A body whose JSON is changed, or whose bytes are."""
    body = copy.deepcopy(chance.choice(bodies))
    for _ in range(chance.randint(1, 3)):
        body = changed(body, chance)
    data = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return damaged(data, chance) if chance.random() < 0.3 else data


def changed(value, chance: random.Random):
    """A JSON value that is different somewhere."""
    if isinstance(value, dict | list) and value and chance.random() < 0.8:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = chance.choice(keys)
        if chance.random() < 0.15:
            del value[key]
        elif chance.random() < 0.1 and isinstance(value, dict):
            value[chance.choice(["", "more", "\ud800", "x" * 300, "__class__"])] = value.pop(key)
        else:
            value[key] = changed(value[key], chance)
        return value
    return copy.deepcopy(chance.choice([*VALUES, [value], {"text": value}, [value] * 50]))


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes that are cut, overwritten or replaced."""
    place = chance.randrange(len(data) + 1)
    return chance.choice(
        [
            data[:place],
            data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :],
            data[:place] + chance.choice([b"\xff", b"\xed\xa0\x80", b"\x00", b"\\ud83d", b"\xc3"]) + data[place:],
            data.replace(b"true", chance.choice([b"9" * 5000, b"1e999", b"-", b"NaN", b"1.", b"0" * 50])),
            data.replace(b"[", b"[" * chance.choice([2, 300, 50_000])),
            b'{"a":' * chance.choice([200, 30_000]),
            data.decode("utf-8", "replace").encode("utf-16"),
            b"\xef\xbb\xbf" + data,
            data + data,
            b"",
            b"null",
        ]
    )


def csv_body(chance: random.Random) -> bytes:
    data = b'text\n"The cat, sat ."\nOne more\n'
    return chance.choice([damaged(data, chance), data.replace(b"\n", b",\n"), b'text\n"' + b"x" * 200_000, data * 2000])


def tensor_body(chance: random.Random) -> tuple[bytes, bytes]:
    """A request with its strings behind the JSON, of which something is wrong, and its header."""
    elements = [chance.choice(TEXTS).encode() for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.3:
        elements.append(chance.choice([b"\xff\xfe", b"", b"\xed\xa0\x80", b"\x00", b"a" * 100_000]))
    data = b"".join(struct.pack("<I", len(one)) + one for one in elements)
    size = chance.choice([len(data), len(data) + 1, 0, -1, 2**40, None, "7", 1.5])
    tensor = {"name": "text", "shape": [chance.choice([len(elements), 2, 10**6, 10**400])], "datatype": "BYTES"}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": size}}]}).encode()
    if chance.random() < 0.3:
        place = chance.randrange(len(data) + 1)
        data = chance.choice([data[:place], data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :], data + b"\x01\x00"])
    length = str(len(head)) if chance.random() < 0.8 else chance.choice(LENGTHS)
    return head + data, length.encode("latin-1")


def damage_headers(headers: dict[str, bytes], chance: random.Random) -> None:
    name, values = chance.choice(
        [
            ("Content-Type", KINDS),
            ("Inference-Header-Content-Length", LENGTHS),
            ("X-Request-Timeout-Ms", TIMEOUTS),
            ("Accept-Encoding", ["gzip;q=", "*", ";", "gzip" * 500, "deflate;q=0.5,gzip;q=x"]),
            ("X-Model", ["nobody", "", "\xff"]),
            ("Accept", ["image/png", ""]),
        ]
    )
    headers[name] = chance.choice(values).encode("latin-1")
