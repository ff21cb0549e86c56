import io
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import URLError

import numpy as np
import pytest

from embeddings import handle
from embeddings.elmo_encoder import load_elmo
from embeddings.errors import SourceError
from embeddings.handle import is_handle, resolve_handle
from embeddings.source import find_source


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(shared):
    """A server as TF-Hub's, with one module; `.asked` are the addresses that were asked for."""
    archive = io.BytesIO()
    module = shared / "fixtures/hub_elmo/module"
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path in sorted(module.rglob("*")):
            tar.add(path, path.relative_to(module), recursive=False)
    whole = archive.getvalue()
    answers = {"/google/elmo/3": whole, "/half": whole[: len(whole) // 2], "/page": b"<html>no archive</html>"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            path, _, _ = self.path.partition("?")
            if path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/google/elmo/3?tf-hub-format=compressed")
                self.end_headers()
            elif path == "/silent":
                threading.Event().wait(1)
            elif path in answers:
                self.send_response(200)
                self.send_header("Content-Length", str(len(answers[path])))
                self.end_headers()
                self.wfile.write(answers[path])
            else:
                self.send_error(404)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_handle_is_an_address_and_not_a_path(tmp_path):
    assert is_handle("https://tfhub.dev/google/elmo/3")
    assert not is_handle("runs/https:") and not is_handle(tmp_path) and not is_handle(("a", "b"))


@pytest.mark.parametrize("place", ["/google/elmo/3", "/moved"])
def test_a_handle_is_fetched_once_and_gives_the_published_outputs(server, shared, cache, place):
    source = server.address + place
    encoder = load_elmo(source)
    assert server.asked[0] == f"{place}?tf-hub-format=compressed"
    asked = len(server.asked)
    assert find_source(source).form == "TF-Hub module"
    assert len(server.asked) == asked and any(cache.iterdir())
    lines = (shared / "fixtures/sentences.txt").read_text("utf-8").splitlines()
    expected = np.load(shared / "fixtures/hub_elmo/expected.npz")
    for name, value in encoder.outputs(encoder.ids(line.split(" ") for line in lines)).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)


def test_a_handle_of_tfhub_dev_is_resolved_by_tensorflow_hub(shared, monkeypatch):
    import tensorflow_hub

    folders = {"https://tfhub.dev/google/elmo/3": str(shared / "fixtures/hub_elmo/module")}
    monkeypatch.setattr(tensorflow_hub, "resolve", folders.__getitem__)
    stored = find_source("https://tfhub.dev/google/elmo/3")
    assert stored.options.projection == 16
    assert stored.tree.where("saved_model.pb") == "https://tfhub.dev/google/elmo/3/saved_model.pb"


@pytest.mark.parametrize(
    ("place", "message"),
    {
        "/unknown": "/unknown: the server answers 404",
        "/page": "/page: no model could be unpacked",
        "/half": "/half: no model could be unpacked",
    }.items(),
)
def test_what_a_server_does_not_have_is_refused_and_not_cached(server, place, message):
    for _ in range(2):
        with pytest.raises(SourceError, match=message):
            find_source(server.address + place)
    assert len(server.asked) == 2


def test_a_silent_server_is_given_up(server, monkeypatch):
    monkeypatch.setattr(handle, "TIMEOUT", 0.2)
    with pytest.raises(SourceError, match=r"/silent: cannot be fetched \(timed out\)"):
        resolve_handle(server.address + "/silent")
    assert socket.getdefaulttimeout() is None


def test_without_a_network_the_message_says_what_to_do(monkeypatch):
    def offline(request):
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", lambda *arguments, **options: offline(arguments))
    with pytest.raises(SourceError, match=r"elmo/3: cannot be fetched \(Name or service not known\); without"):
        find_source("https://tfhub.dev/google/elmo/3")
