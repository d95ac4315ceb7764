"""What goes out is compressed where that pays: texts, not pictures, and nothing that is a stream."""

from __future__ import annotations

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

PLAIN = ("/sdapi/",         # pictures as base64: little smaller, and late
         "/gradio_api/")    # `GradioFiles` reads whose the files are that an answer names


class Compression(GZipMiddleware):
    """Starlette's, which knows the types that do not shrink; it leaves the event stream as it is, too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PLAIN):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
