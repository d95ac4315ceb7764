"""What a route asks for: the caller's front door, the changes to wait for, the caller's options and open calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from backend import Backend, Door
from backend.http.a1111.calls import Caller, ClientCalls
from backend.http.a1111.options import CallerOptions
from backend.http.a1111.unsupported import is_passed_over
from backend.http.async_watch import Changes


async def _backend(connection: HTTPConnection) -> Backend:
    return connection.app.state.backend


async def _door(connection: HTTPConnection) -> Door:
    return connection.app.state.backend.as_(connection.state.user)  # the guard has put it there


async def _changes(connection: HTTPConnection) -> Changes:
    return connection.app.state.changes


async def _options(connection: HTTPConnection) -> CallerOptions:
    return CallerOptions(connection.app.state.options, Caller.of(connection), is_passed_over(connection))


async def _calls(connection: HTTPConnection) -> ClientCalls:
    return ClientCalls(connection.app.state.calls, Caller.of(connection))


EntireBackend = Annotated[Backend, Depends(_backend)]
FrontDoor = Annotated[Door, Depends(_door)]
Watch = Annotated[Changes, Depends(_changes)]
ClientOptions = Annotated[CallerOptions, Depends(_options)]
OwnCalls = Annotated[ClientCalls, Depends(_calls)]
Place = Annotated[int, Query(ge=0, le=2**62)]       # in a list or a stream; databases know no larger numbers
