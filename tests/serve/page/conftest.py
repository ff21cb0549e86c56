"""A server with canned answers, and a headless Chromium that visits it."""

import shutil
import threading

import pytest
import uvicorn
from reference.canned_service import CannedService
from starlette.middleware import Middleware

from serve.app import build_app
from serve.errors import NotAuthenticated
from serve.listener import listen
from serve.refusals import Refusals
from serve.web_page import router

KEY = "a-key"


class Door:
    """Gives each request an id, and lets only those with a key ask."""

    def __init__(self, app, key):
        self.app, self.key = app, key

    async def __call__(self, scope, receive, send):
        scope.setdefault("state", {})["request_id"] = "r-1"
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if self.key and scope.get("path", "").startswith("/v1") and given != f"Bearer {self.key}".encode():
            error = NotAuthenticated("no valid key; expected 'Authorization: Bearer KEY'")
            return await Refusals()(scope, error)(scope, receive, send)
        return await self.app(scope, receive, send)


def app_of(service, key=None):
    return build_app(service, routers=[router()], middlewares=[Middleware(Door, key=key)])


def serve(app):
    listener = listen("127.0.0.1", 0)
    # A tab keeps its connection open; the server need not wait for it.
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def service():
    return CannedService()


@pytest.fixture(scope="module")
def address(service):
    yield from serve(app_of(service))


@pytest.fixture(scope="module")
def locked_address(service):
    yield from serve(app_of(service, KEY))


@pytest.fixture(scope="session")
def key():
    """Of the locked server."""
    return KEY


@pytest.fixture(scope="module")
def browser():
    # Of a module, and not of all: while it is there, no other test can run an event loop.
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright on this machine")
    playwright.expect.set_options(timeout=15_000)
    with playwright.sync_playwright() as driver:
        # Chromium's sandbox does not run as root.
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens an address in a fresh tab; in the end no script may have failed, and nothing broken the page's policy."""
    complaints, contexts = [], []

    def visit(url, **options):
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(15_000)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    # A refusal of the server is in the console too.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


@pytest.fixture
def page(visit, address):
    return visit(address)
