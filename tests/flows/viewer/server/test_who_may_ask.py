"""Promises: nobody without the token is answered, no other page can ask, and nothing can be written."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from flows.viewer.server.guard import Guard

HOST, TOKEN, COOKIE = "http://127.0.0.1:8707", "the-token", "mopd-view-8707"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
DATA = "the run's data"


async def tell(request: Request) -> PlainTextResponse:
    return PlainTextResponse(DATA)


async def show(request: Request) -> HTMLResponse:
    return HTMLResponse("<p>page")


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/", show), Route("/api/data", tell, methods=METHODS)])
    return TestClient(Guard(app, TOKEN, COOKIE), base_url=HOST)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/api/data?token={TOKEN}", {}),
        ("/api/data", {"Cookie": f"{COOKIE}={TOKEN}"}),
        ("/api/data", {"Cookie": f"other=1; {COOKIE}={TOKEN}"}),
        ("/api/data", {"Authorization": f"Bearer {TOKEN}"}),
        ("/api/data", {"Authorization": f"Bearer {TOKEN}", "Origin": HOST}),
        ("/api/data", {"Authorization": f"Bearer {TOKEN}", "Host": "localhost:9000"}),
        ("/api/data", {"Authorization": f"Bearer {TOKEN}", "Host": "[::1]:8707"}),
    ],
)
def test_who_has_the_token_is_answered(client: TestClient, path: str, headers: dict[str, str]) -> None:
    answer = client.get(path, headers=headers)
    assert (answer.status_code, answer.text) == (200, DATA)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/data", {}, 403),
        ("/", {}, 403),
        ("/api/data?token=", {}, 403),
        ("/api/data?token=the-toke", {}, 403),
        ("/api/data?token=the-token-", {}, 403),
        ("/api/data", {"Cookie": f"mopd-view-8708={TOKEN}"}, 403),
        ("/api/data", {"Cookie": f"{COOKIE}=other"}, 403),
        ("/api/data", {"Cookie": "{[}]"}, 403),
        ("/api/data", {"Authorization": f"Basic {TOKEN}"}, 403),
        ("/api/data", {"Authorization": "Bearer töken".encode()}, 403),
        (f"/api/data?token={TOKEN}", {"Origin": "https://elsewhere.example"}, 403),
        (f"/api/data?token={TOKEN}", {"Origin": "http://127.0.0.1:8000"}, 403),
        (f"/api/data?token={TOKEN}", {"Origin": "null"}, 403),
        (f"/api/data?token={TOKEN}", {"Host": "elsewhere.example"}, 421),
        (f"/api/data?token={TOKEN}", {"Host": "127.0.0.1.elsewhere.example:8707"}, 421),
        (f"/api/data?token={TOKEN}", {"Host": ""}, 421),
    ],
)
def test_everybody_else_is_refused(client: TestClient, path: str, headers: dict[str, str], status: int) -> None:
    answer = client.get(path, headers=headers)
    assert (answer.status_code, DATA in answer.text) == (status, False)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_method_that_writes_comes_through(client: TestClient, method: str) -> None:
    answer = client.request(method, f"/api/data?token={TOKEN}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


def test_the_token_of_the_address_becomes_a_cookie_that_scripts_and_other_sites_lack(client: TestClient) -> None:
    answer = client.get(f"/?token={TOKEN}")
    assert answer.headers["set-cookie"] == f"{COOKIE}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert client.get("/api/data").text == DATA  # the client has kept it


def test_every_answer_says_what_may_be_done_with_it(client: TestClient) -> None:
    page, data, refusal = (
        client.get(f"/?token={TOKEN}"),
        client.get("/api/data"),
        client.get("/", headers={"Host": "x"}),
    )
    for answer in (page, data, refusal):
        assert {
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
        }.items() <= dict(answer.headers).items()
    policies = [answer.headers["content-security-policy"] for answer in (page, data, refusal)]
    assert policies == ["frame-ancestors 'none'", *["default-src 'none'; frame-ancestors 'none'"] * 2]


def test_what_browsers_ask_for_by_themselves_is_no_refusal(client: TestClient) -> None:
    assert client.get("/favicon.ico").status_code == 404  # of this application, and no 403
