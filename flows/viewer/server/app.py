"""What is answered under which address. Documents are made in threads; what takes long holds up nothing else.

/                                   the page, without data
/api/directory                      the runs, and what had to be left out
/api/changes?run=ID&since=MOMENT    whether the list of runs, or one of them, is another one by now
/api/run/ID/NAME?…                  a document of `documents.served`, or some rows of a table
/api/NAME?runs=[ID, …]              a document of several runs
/api/measures                       what was measured of runs
/api/queries                        the queries that have a name, the tables that there are
/api/sql                            the answer to one (POST)
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from flows.viewer.documents.as_json import json_text
from flows.viewer.documents.measures import measures
from flows.viewer.documents.request.parameters import NotThere, json_value, not_like, whole_number
from flows.viewer.documents.served import OF_SEVERAL, SERVED
from flows.viewer.page.html import page
from flows.viewer.server.guard import ICON, PAGE, Guard
from flows.viewer.server.kept import KeptDocument
from flows.viewer.server.live import RunGone
from flows.viewer.server.queries import Question, answer, query_list, table_list
from flows.viewer.server.runs import ServedRuns
from mopd.errors import InputError
from storage.errors import StorageError
from storage.sql.catalog import Stop

MOMENT = "Mopd-Moment"
"""Of an answer: the number of the moment that it is of."""
MOST_QUERIES = 2
"""Of the query box, at once: others wait."""
MOST_COMPARED = 8
"""Documents of several runs that are kept."""
MOST_BYTES = 100_000
"""Of a question."""
POLL_SECONDS = 0.2
"""Between two looks whether whoever asked still waits."""
_IDS = '["one run", "another"]'


class Pages:
    """Answers about the runs that are served."""

    def __init__(self, runs: ServedRuns) -> None:
        self._runs = runs
        self._html = page(connect="'self'")
        self._limit = anyio.CapacityLimiter(MOST_QUERIES)
        self._stops: set[Stop] = set()
        self._several: dict[tuple[Any, ...], KeptDocument] = {}
        """By name and runs."""

    def routes(self) -> list[Route]:
        """In the order in which addresses are compared."""
        return [
            Route(PAGE, lambda request: HTMLResponse(self._html)),
            Route(ICON, lambda request: Response(status_code=204)),
            Route("/api/directory", lambda request: _json(self._runs.directory())),
            Route("/api/changes", self.changes),
            Route("/api/measures", lambda request: _json(measures(self._runs.reports()))),
            Route("/api/queries", lambda request: _json({"queries": query_list(), "tables": table_list()})),
            Route("/api/sql", self.sql, methods=["POST"]),
            Route("/api/run/{run:path}/{name}", self.document),
            Route("/api/{name}", self.of_several),
        ]

    def stop(self) -> None:
        """End the queries that are under way."""
        for stop in tuple(self._stops):
            stop()

    def changes(self, request: Request) -> Response:
        """Cheap: what the looks of the background found."""
        asked, id = request.query_params.get("since"), request.query_params.get("run")
        since = None if asked is None else whole_number("since", asked)
        moments = {live.id: live.moment for live in self._runs.all()}
        came: dict[str, int] = {}
        if id in moments:
            live = self._runs.find(id)
            live.view()
            came = {} if since is None else live.came_since(since)
        left_out = self._runs.left_out()
        return _json({"edition": self._runs.edition, "moments": moments, "came": came, "left_out": left_out})

    def document(self, request: Request) -> Response:
        """404 for one that the run doesn't have."""
        live = self._runs.find(request.path_params["run"])
        run, moment = live.view()
        name = request.path_params["name"]
        if name in live.kept:
            return _json(*live.kept[name].ask(run, moment))
        _check_name(name, SERVED)
        return _json(SERVED[name].make_for(run, request.query_params), moment)

    def of_several(self, request: Request) -> Response:
        """Of those that are named, or of all."""
        name = request.path_params["name"]
        _check_name(name, OF_SEVERAL)
        lives = self._runs.some(_read_ids("runs", request.query_params.get("runs", "null")))
        viewed = [live.view() for live in lives]
        kept = self._several.setdefault((name, *lives), KeptDocument(OF_SEVERAL[name]))
        if len(self._several) > MOST_COMPARED:
            self._several.pop(next(iter(self._several)))
        document, _ = kept.ask([run for run, _ in viewed], sum(moment for _, moment in viewed))
        if document is None:
            raise NotThere(f"runs: {name} is of two runs or more; the runs of /api/directory can be named")
        return _json(document)

    async def sql(self, request: Request) -> Response:
        """Ended when nobody waits for it any more."""
        body = await request.body()
        if len(body) > MOST_BYTES:
            raise InputError(f"a question has at most {MOST_BYTES:,} bytes")
        question = Question.of(body)
        stop = Stop()
        self._stops.add(stop)
        watching = asyncio.create_task(_stop_when_gone(request, stop))
        try:
            return await anyio.to_thread.run_sync(self._answer, question, stop, limiter=self._limit)
        finally:
            watching.cancel()
            self._stops.discard(stop)

    def _answer(self, question: Question, stop: Stop) -> Response:
        lives = self._runs.some(None if question.run is None else [question.run])
        return _json(answer(question, [live.view()[0] for live in lives], stop))


def make_app(runs: ServedRuns, token: str) -> tuple[Guard, Pages]:
    """The application, which answers nobody without the token."""
    pages = Pages(runs)
    handlers = {
        RunGone: _refusal(410),
        InputError: _refusal(400),
        NotThere: _refusal(404),
        StorageError: _refusal(409),
        HTTPException: _tell_address,
        OSError: _refusal(503),
        Exception: _tell_fault,
    }
    return Guard(Starlette(routes=pages.routes(), exception_handlers=handlers), token), pages


def _refusal(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def refuse(request: Request, error: Exception) -> Response:
        return PlainTextResponse(" ".join(str(error).split()), status)

    return refuse


async def _tell_address(request: Request, error: Exception) -> Response:
    """Where nothing is, or nothing by this method."""
    assert isinstance(error, HTTPException)
    is_there = error.status_code != 404
    line = "is not asked by this method" if is_there else f"is no address: the page is at {PAGE}"
    return PlainTextResponse(f"{request.url.path} {line}", error.status_code)


async def _tell_fault(request: Request, error: Exception) -> Response:
    """One of ours: the page says which, the terminal where."""
    traceback.print_exception(error)
    return PlainTextResponse(f"mopd has a fault: {' '.join(repr(error).split())}; its terminal says more", 500)


def _json(document: object, moment: int | None = None) -> Response:
    headers = None if moment is None else {MOMENT: str(moment)}
    return Response(json_text(document), media_type="application/json", headers=headers)


def _check_name(name: str, documents: Collection[str]) -> None:
    if name not in documents:
        raise NotThere(f"there is no document {name}; those that there are: {', '.join(documents)}")


def _read_ids(name: str, text: str) -> list[str] | None:
    """Runs by their ids; null for all."""
    ids = json_value(name, text, _IDS)
    if ids is None or (isinstance(ids, list) and all(isinstance(id, str) for id in ids)):
        return ids
    raise not_like(name, text, _IDS)


async def _stop_when_gone(request: Request, stop: Stop) -> None:
    while not await request.is_disconnected():
        await anyio.sleep(POLL_SECONDS)
    stop()
