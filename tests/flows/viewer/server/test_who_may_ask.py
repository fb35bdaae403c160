"""Promises: nobody without the token is answered, no other page can ask, and nothing can be written."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from flows.viewer.server.guard import Guard

HOST, TOKEN = "http://127.0.0.1:8707", "the-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
DATA = "the run's data"


async def tell(request: Request) -> PlainTextResponse:
    return PlainTextResponse(DATA)


async def show(request: Request) -> HTMLResponse:
    return HTMLResponse("<p>page")


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/", show), Route("/api/data", tell, methods=METHODS)])
    return TestClient(Guard(app, TOKEN), base_url=HOST)


@pytest.mark.parametrize("headers", [{}, {"Origin": HOST}, {"Host": "localhost:9000"}, {"Host": "[::1]:8707"}], ids=str)
def test_who_has_the_token_is_answered(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.get("/api/data", headers=BEARER | headers)
    assert (answer.status_code, answer.text) == (200, DATA)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/data", {}, 403),
        (f"/api/data?token={TOKEN}", {}, 403),
        ("/api/data", {"Cookie": f"token={TOKEN}"}, 403),
        ("/api/data", {"Authorization": "Bearer "}, 403),
        ("/api/data", {"Authorization": "Bearer the-toke"}, 403),
        ("/api/data", {"Authorization": "Bearer the-token-"}, 403),
        ("/api/data", {"Authorization": f"Basic {TOKEN}"}, 403),
        ("/api/data", {"Authorization": "Bearer töken".encode()}, 403),
        ("/api/data", BEARER | {"Origin": "https://elsewhere.example"}, 403),
        ("/api/data", BEARER | {"Origin": "http://127.0.0.1:8000"}, 403),
        ("/api/data", BEARER | {"Origin": "null"}, 403),
        ("/api/data", BEARER | {"Host": "elsewhere.example"}, 421),
        ("/api/data", BEARER | {"Host": "127.0.0.1.elsewhere.example:8707"}, 421),
        ("/api/data", BEARER | {"Host": ""}, 421),
    ],
)
def test_everybody_else_is_refused(client: TestClient, path: str, headers: dict[str, str], status: int) -> None:
    answer = client.get(path, headers=headers)
    assert (answer.status_code, DATA in answer.text) == (status, False)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_method_that_writes_comes_through(client: TestClient, method: str) -> None:
    answer = client.request(method, "/api/data", headers=BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


def test_a_browser_is_given_nothing_that_it_would_send_to_other_ports(client: TestClient) -> None:
    answers = client.get("/"), client.get("/api/data", headers=BEARER)
    assert [answer.headers.get("set-cookie") for answer in answers] == [None, None]


def test_every_answer_says_what_may_be_done_with_it(client: TestClient) -> None:
    page, data, refusal = (
        client.get("/"),
        client.get("/api/data", headers=BEARER),
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
