"""The path below which a reverse proxy shows Easel, where the page and Gradio need it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """ASGI middleware right around the routes: these take the root path from where ASGI has it, before the path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if root := root_path(scope):
            scope = {**scope, "root_path": root, "path": root + scope["path"]}
        await self._app(scope, receive, send)


def root_path(scope: Scope) -> str:
    """Below which this request found Easel: "" or a path such as "/easel"; `backend.http.proxy` found it out."""
    return scope.get("state", {}).get("root_path", "")
