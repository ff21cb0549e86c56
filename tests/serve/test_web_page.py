import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serve.web_page import router


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.include_router(router())
    return TestClient(app)


def test_the_page_comes_with_its_policy(client):
    answer = client.get("/")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'" and policy["style-src"] == "'self'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["X-Frame-Options"] == "DENY"


def test_the_page_holds_no_script_or_style_of_its_own(client):
    page = client.get("/").text
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=|javascript:|https?://", page)


def test_every_file_that_the_page_names_is_there(client):
    todo, types = ["/"], {}
    while todo:
        url = todo.pop()
        answer = client.get(url)
        assert answer.status_code == 200, url
        types[url] = answer.headers["Content-Type"]
        named = re.findall(r'(?:src|href)="(page/[^"]+)"', answer.text) if url == "/" else []
        named += [f"page/{name}" for name in re.findall(r'from "\./([^"]+)"', answer.text)]
        todo += [f"/{name}" for name in named if f"/{name}" not in types]
    expected = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    assert len(types) > 10
    assert all(types[url] == expected[url.rpartition(".")[2]] for url in types if url != "/")


def test_a_file_that_has_not_changed_is_not_sent_again(client):
    first = client.get("/page/page.js")
    tag = first.headers["ETag"]
    for tags in (tag, f"W/{tag}", f'"old", {tag}', "*"):
        again = client.get("/page/page.js", headers={"If-None-Match": tags})
        assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == tag
    assert client.get("/page/page.js", headers={"If-None-Match": '"old"'}).content == first.content


def test_head_gives_the_headers_only(client):
    answer = client.head("/")
    assert answer.status_code == 200 and answer.content == b"" and int(answer.headers["Content-Length"]) > 1000


@pytest.mark.parametrize("path", ["/page/", "/page/none.js", "/page/../web_page.py", "/page/%2e%2e/web_page.py"])
def test_nothing_else_is_served(client, path):
    assert client.get(path).status_code == 404
