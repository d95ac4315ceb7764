"""The page at `/docs`: every route of the API with its bodies, to be read and tried. All of it comes from here."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from ui.assets import Assets

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Easel: the API</title>
<link rel="stylesheet" href="{folder}/swagger-ui.css">
<style>
.dark-mode .swagger-ui .examples-select__section-label {{ color: #e4e6e6; }}
.swagger-ui .renderedMarkdown code {{ padding: 1px 4px; }}
.back {{ display: block; max-width: 1460px; margin: 0 auto; padding: 16px 20px 0; font: 14px sans-serif; }}
.back {{ color: #2b6cb0; }}
.dark-mode .back {{ color: #8fc1ff; }}
.swagger-ui .info {{ margin: 16px 0; }}
</style>
</head>
<body>
<a class="back" href="./">Easel</a>
<div id="api"></div>
<script src="{folder}/swagger-ui-bundle.js"></script>
<script>
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
SwaggerUIBundle({{ url: "./openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null, filter: true,
                   docExpansion: "list", defaultModelsExpandDepth: 0 }});
</script>
</body>
</html>
"""


def route(assets: Assets) -> APIRouter:
    """GET of the page."""
    router, page = APIRouter(), PAGE.format(folder=f".{assets.folder}")

    @router.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page, headers={"Cache-Control": "no-cache"})

    return router
