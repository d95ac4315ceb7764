"""The HTTP API: three doors for programs, the page's own routes, and what stands around everything.

    a1111/                 AUTOMATIC1111's API: /sdapi, /internal, /controlnet, /reactor
    api/                   /api: the modern door
    openai/                /v1: OpenAI's shapes
    easel/                 /easel: the page's own routes
    accounts/              who is asking; /login, /join, /logout, /account
    probes.py              /health, /ready, /metrics
    server.py              the web server: its first and last acts
    public_link.py         --share: an address by Gradio's tunnel
    proxy.py               behind a reverse proxy: whom to believe, and the path below which Easel lies
    connections.py         how many connections and requests at once, and how slow they may be
    guard.py               every request passes it: login, Host, Origin, size, security headers
    gradio_file_access.py  whose the files are that Gradio keeps
    foreign_routes.py      a border around Gradio's routes: what they cannot read is a quiet 4xx
    decode_threads.py      threads for what decodes pictures: uploads, paint, settings, imports, thumbnails
    dependencies.py        what a route asks for: the caller's own front door, changes, options, calls
    openapi*.py            the description of all routes: bodies from the field table, answers as AUTOMATIC1111 has them
    wrong_methods.py       405 for a route that is there for another method
    errors.py              the one place where an error becomes a status code
    error_shapes.py        problem+json for /api, OpenAI's errors for /v1
    json_answers.py        answers that are JSON whatever a client sent
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts

from backend import Backend, Table
from backend.http import errors, openapi, probes, wrong_methods
from backend.http.a1111 import controlnet_routes, extras, interrogate, models, progress, reactor_routes, routes
from backend.http.a1111 import server as a1111_server
from backend.http.a1111.calls import Calls
from backend.http.a1111.options import Options
from backend.http.accounts import account, login
from backend.http.accounts.identification import Identification
from backend.http.api import events as api_events
from backend.http.api import images as api_images
from backend.http.api import jobs as api_jobs
from backend.http.api import models as api_models
from backend.http.api import plots as api_plots
from backend.http.api import uploads as api_uploads
from backend.http.async_watch import Changes
from backend.http.connections import SHARE, RequestsAtOnce, most_connections
from backend.http.easel import (
    boards,
    descriptions,
    events,
    extensions,
    faces,
    files,
    guides,
    history,
    jobs,
    networks,
    people,
    plot_exports,
    plots,
    preferences,
    prompts,
    sharing,
)
from backend.http.error_shapes import ErrorShapes
from backend.http.foreign_routes import ForeignRoutes
from backend.http.gradio_file_access import GradioFiles
from backend.http.guard import Guard
from backend.http.json_answers import JSONAnswer
from backend.http.openai import images as openai_images
from backend.http.openai import models as openai_models
from backend.http.probes import RouteNamed, Timed
from backend.http.proxy import Proxy
from backend.http.public_link import PublicLink


@dataclass(frozen=True, slots=True)
class Routes:
    """Some routes by a name; see `backend.house`."""

    name: str
    router: APIRouter


def fill(routers: Table[Routes]) -> Table[Routes]:
    """Easel's own routes, to which extensions add theirs before the application is made."""
    for part in (login, account, routes, extras, progress, models, a1111_server, interrogate, descriptions,
                 events, jobs, files, history, boards, networks, plots, plot_exports, preferences, prompts,
                 controlnet_routes, reactor_routes, guides, faces, extensions, probes, sharing, people):
        routers.add(Routes(part.__name__.rpartition(".")[2], part.router))
    for part in (api_jobs, api_events, api_images, api_uploads, api_models, api_plots, openai_images, openai_models):
        routers.add(Routes(" ".join(part.__name__.split(".")[-2:]), part.router))
    return routers


def create_app(backend: Backend, routers: Table[Routes] | None = None) -> FastAPI:
    """The whole API as one application, with these routes; without any, with Easel's own.

    The page is mounted into it afterwards, so that the guard covers it too.
    """
    # Scripts post JSON without saying so; that a web page's request without a type is its own, the guard sees to.
    app = FastAPI(title="Easel", docs_url=None, redoc_url=None, strict_content_type=False,
                  default_response_class=JSONAnswer)
    app.state.backend = backend
    app.state.changes = Changes()
    app.state.options = Options()
    app.state.calls = Calls()
    app.state.public_link = PublicLink(backend.settings.data)
    errors.register(app)
    ours = [routes.router for routes in (routers or fill(Table("routers"))).values()]
    if backend.settings.oidc:
        from backend.http.accounts import openid  # its packages are asked for by nothing else

        app.state.openid = openid.Provider(backend.settings.oidc)
        ours.append(openid.router)
    for router in (*ours, wrong_methods.refusing(ours)):
        app.include_router(router)
    openapi.describe(app)
    app.add_middleware(RouteNamed)
    app.add_middleware(ForeignRoutes)
    app.state.identification = Identification(
        backend.settings, backend.accounts, backend.sessions, backend.access_tokens, backend.audit_log,
        backend.login_tries)
    app.add_middleware(GradioFiles, data=backend.settings.data)
    app.add_middleware(Guard, settings=backend.settings, identification=app.state.identification,
                       sessions=backend.sessions)
    app.add_middleware(Timed, backend=backend)
    app.add_middleware(RequestsAtOnce, most=most_connections() // SHARE)
    app.add_middleware(ErrorShapes)
    app.add_middleware(Proxy, settings=backend.settings, link=app.state.public_link)
    return app


def build_routes(app: FastAPI) -> None:
    """Make now what FastAPI otherwise makes on the event loop while the first requests wait: each route's own part."""
    deque(iter_route_contexts(app.routes), maxlen=0)
    app.openapi()
