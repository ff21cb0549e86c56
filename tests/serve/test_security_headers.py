import base64
import hashlib
import re
import shutil
import socket
import subprocess
import threading

import pytest
import uvicorn
from fastapi.responses import FileResponse, HTMLResponse, StreamingResponse
from fastapi.testclient import TestClient
from fastapi_offline import FastAPIOffline

from serve.security_headers import SecurityHeaders


@pytest.fixture(scope="module")
def app():
    app = FastAPIOffline()

    @app.get("/v1/models")
    async def models() -> list[str]:
        """The models that are served."""
        return []

    @app.get("/own")
    async def own():
        return HTMLResponse("a", headers={"Content-Security-Policy": "default-src 'self'", "Cache-Control": "no-cache"})

    @app.get("/lines")
    async def lines():
        return StreamingResponse(iter(["a\n", "b\n"]))

    @app.get("/file")
    async def file():
        return FileResponse(__file__)

    app.add_middleware(SecurityHeaders)
    return app


@pytest.fixture(scope="module")
def client(app):
    return TestClient(app)


@pytest.mark.parametrize("path", ["/v1/models", "/none", "/lines", "/openapi.json", "/docs", "/redoc"])
def test_every_answer_says_what_a_browser_may_do_with_it(client, path):
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "camera=()" in headers["Permissions-Policy"]
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy and "http" not in policy


def test_nothing_of_an_answer_is_run(client):
    assert client.get("/v1/models").headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_what_an_answer_says_itself_stays(client):
    headers = client.get("/own").headers
    assert headers["Content-Security-Policy"] == "default-src 'self'" and headers["Cache-Control"] == "no-cache"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_may_be_kept(client):
    answer = client.get("/file")
    assert "Cache-Control" not in answer.headers and answer.headers["ETag"]


def test_a_stream_is_not_held_back(client):
    assert client.get("/lines").text == "a\nb\n"


def test_the_scripts_of_the_api_page_are_allowed_by_their_hash_and_no_others(client):
    answer = client.get("/docs")
    (script,) = re.findall("<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (scripts,) = re.findall("script-src ([^;]*);", answer.headers["Content-Security-Policy"])
    assert scripts == f"'self' 'sha256-{digest}'"
    assert client.head("/docs").status_code in (200, 405)


@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium on this machine")
@pytest.mark.parametrize(("page", "drawn"), [("docs", "opblock-summary-path"), ("redoc", "data-section-id")])
def test_a_browser_draws_the_pages_of_the_api_under_their_policy(app, tmp_path, page, drawn):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
        browser += [f"--user-data-dir={tmp_path}", "--virtual-time-budget=10000", "--dump-dom"]
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/{page}"
        done = subprocess.run([*browser, url], capture_output=True, text=True, check=True, timeout=60)
        server.should_exit = True
        thread.join(30)
    assert drawn in done.stdout and "/v1/models" in done.stdout
    violations = [line for line in done.stderr.splitlines() if "Content Security Policy" in line]
    # The one thing that ReDoc would load from another host: its maker's mark.
    assert all("logo-mini.svg" in line for line in violations)
