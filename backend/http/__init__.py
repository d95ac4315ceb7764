"""The HTTP API: AUTOMATIC1111's API, the page's own routes, and the guard around everything.

    probes.py              /health, /ready, /metrics
    public_link.py         --share: an address by Gradio's tunnel
    proxy.py               behind a reverse proxy: whom to believe, and the path below which Easel lies
    connections.py         how many connections and requests at once, and how slow they may be
    guard.py               every request passes it: login, Host, Origin, size, security headers
    authentication.py      who is asking, by name and password; a throttle for failed logins
    turns.py               a few at a time, the newest first
    identification.py      who sends a request: by name and password, token or cookie
    login.py               /login, /join, /logout: the way in and out
    account.py             /account: password, tokens, invitations
    account_pages.py       the pages of both: templates, and their language
    openid.py              /login/openid: logging in with an OpenID provider
    gradio_files.py        whose the files are that Gradio keeps
    foreign_routes.py      a border around Gradio's routes: what they cannot read is a quiet 4xx
    decode_threads.py      threads for what decodes pictures: uploads, paint, settings, imports, thumbnails
    dependencies.py        what a route asks for: the caller's own front door, changes, options, calls
    a1111_routes.py        /sdapi/v1/txt2img, img2img, interrupt, skip, options, png-info
    a1111_extras.py        /sdapi/v1/extra-single-image, extra-batch-images
    a1111_progress.py      /sdapi/v1/progress, /internal/progress
    a1111_models.py        the lists of models, samplers, upscalers, styles
    interrogate.py         pictures in words: /sdapi/v1/interrogate, /easel/interrogate
    a1111_server.py        flags, memory, scripts, extensions, probes, stop and restart
    a1111_requests.py      payloads in: a1111_fields (names), a1111_values, a1111_scripts, a1111_pictures, a1111_options
    a1111_lacking.py       what Easel lacks: refused, or passed over for a client
    a1111_responses.py     answers out
    a1111_calls.py         which calls wait for their answer, and whose they are
    openapi.py             the description of all routes: bodies from the field table, answers from openapi_answers
    wrong_methods.py       405 for a route that is there for another method
    events.py              /easel/events   one stream of changes per open page
    jobs.py                /easel/jobs, queue, interrupt, skip, health
    files.py               /easel/image, /easel/preview, /easel/upload
    history.py             /easel/history  search, stars, the bin, comparison, import
    boards.py              /easel/boards  albums of the history
    people.py              /easel/people, for admins: accounts, limits, everybody's queue, the audit log
    sharing.py             /easel/links, /share: pictures and plots that others see by a link
    plots.py               /easel/plots: axes, dry runs, cells
    plot_exports.py        /easel/plots/<id>/export: plots as files
    networks.py            /easel/networks: cards, notes and pictures of LoRAs, embeddings, ...
    prompts.py             /easel/styles, /easel/prompts, /easel/complete
    faces.py               /easel/faces: where they are, how alike two are
    extensions.py          /easel/extensions: which are on, and their switches
    guides.py              /easel/guides: what pictures may guide by, and previews of it
    controlnet.py          /controlnet: models and preprocessors, as sd-webui-controlnet lists them
    preferences.py         /easel/preferences, /easel/about
    api/                   /api: the modern door, see there
    openai/                /v1: OpenAI's shapes, see there
    errors.py              the one place where an error becomes a status code
    error_shapes.py        problem+json for /api, OpenAI's errors for /v1
    json_answers.py        answers that are JSON whatever a client sent
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, FastAPI

from backend import Backend, Table
from backend.http import (
    a1111_extras,
    a1111_models,
    a1111_progress,
    a1111_routes,
    a1111_server,
    account,
    boards,
    controlnet,
    errors,
    events,
    extensions,
    faces,
    files,
    guides,
    history,
    interrogate,
    jobs,
    login,
    networks,
    openapi,
    people,
    plot_exports,
    plots,
    preferences,
    probes,
    prompts,
    sharing,
    wrong_methods,
)
from backend.http.a1111_calls import Calls
from backend.http.a1111_options import Options
from backend.http.api import events as api_events
from backend.http.api import images as api_images
from backend.http.api import jobs as api_jobs
from backend.http.api import models as api_models
from backend.http.api import plots as api_plots
from backend.http.api import uploads as api_uploads
from backend.http.async_watch import Changes
from backend.http.connections import SHARE, RequestsAtOnce, most_connections
from backend.http.error_shapes import ErrorShapes
from backend.http.foreign_routes import ForeignRoutes
from backend.http.gradio_files import GradioFiles
from backend.http.guard import Guard
from backend.http.identification import Identification
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
    for part in (login, account, a1111_routes, a1111_extras, a1111_progress, a1111_models, a1111_server, interrogate,
                 events, jobs, files, history, boards, networks, plots, plot_exports, preferences, prompts, controlnet,
                 guides, faces, extensions, probes, sharing, people):
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
        from backend.http import openid  # its packages are asked for by nothing else

        app.state.openid = openid.Provider(backend.settings.oidc)
        ours.append(openid.router)
    for router in (*ours, wrong_methods.refusing(ours)):
        app.include_router(router)
    openapi.describe(app)
    app.add_middleware(RouteNamed)
    app.add_middleware(ForeignRoutes)
    app.state.identification = Identification(
        backend.settings, backend.accounts, backend.sessions, backend.access_tokens, backend.audit_log)
    app.add_middleware(GradioFiles, data=backend.settings.data)
    app.add_middleware(Guard, settings=backend.settings, identification=app.state.identification,
                       sessions=backend.sessions)
    app.add_middleware(Timed, backend=backend)
    app.add_middleware(RequestsAtOnce, most=most_connections() // SHARE)
    app.add_middleware(ErrorShapes)
    app.add_middleware(Proxy, settings=backend.settings, link=app.state.public_link)
    return app
