import pytest

from serve.exposure import warning_of


@pytest.mark.parametrize(
    ("host", "keys", "told"),
    [
        *((host, None, 0) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")),
        *((host, None, 1) for host in ("0.0.0.0", "::", "example.org")),
        ("0.0.0.0", "keys.json", 0),
    ],
)
def test_a_server_that_all_can_reach_says_that_it_is_open(host, keys, told):
    assert bool(warning_of(host, keys)) == told
