"""Pictures that wait for memory to be decoded in keep no other request waiting."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator

import httpx
import pytest

from backend import Backend, Settings
from backend.http import create_app
from backend.image.decode_budget import DECODING
from backend.store.painted_layers import PaintedLayer
from tests.guest import Guest
from tests.pure.test_history import file

MANY = 60       # more than there are threads for calls that may wait
TEXT = base64.b64encode(file()).decode()
ROUTES = {
    "upload": ("POST", "/easel/upload", {"content": file()}),
    "paint": ("POST", "/easel/upload/{upload}/paint", {"content": file()}),
    "layer": ("GET", "/easel/upload/{upload}/layer.png?over={upload}", {}),
    "settings": ("POST", "/easel/settings", {"content": file()}),
    "import": ("POST", "/easel/history/import?name=a.png", {"content": file(2)}),
    "thumbnail": ("GET", "/easel/image/{image}/thumb", {}),
    "img2img": ("POST", "/sdapi/v1/img2img", {"json": {"init_images": [TEXT], "steps": 0}}),
    "extras": ("POST", "/sdapi/v1/extra-batch-images", {"json": {"imageList": [{"data": TEXT, "name": "a"}, {"data": "!", "name": "b"}]}}),
    "PNG info": ("POST", "/sdapi/v1/png-info", {"json": {"image": TEXT}}),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    folder = tmp_path_factory.mktemp("house")
    house = Guest(Backend(Settings(data=folder / "data", models=(folder,)), start_workers=False))
    yield house
    house.close()


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES)
def test_other_requests_are_answered_meanwhile(house: Guest, route: str) -> None:
    names = {"upload": house.upload(file()).id, "image": house.gallery.take_in(file(3), "3.png").id}
    method, path, body = ROUTES[route]
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with DECODING.share((10**6, 10**6)):
            taken.set()
            free.wait(60)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(house.backend))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860", timeout=None) as client:
            waiting = [asyncio.ensure_future(client.request(method, path.format(**names), **body)) for _ in range(MANY)]
            try:
                await asyncio.sleep(0.5)
                assert (await asyncio.wait_for(client.get("/sdapi/v1/samplers"), 10)).status_code == 200
                await asyncio.sleep(1)
                assert not any(request.done() for request in waiting)
            finally:
                free.set()
            return await asyncio.wait_for(asyncio.gather(*waiting), 60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    answers = asyncio.run(ask())
    thread.join()
    assert {answer.status_code for answer in answers} <= {200, 422}


def test_paint_has_a_share_of_the_picture_that_it_lies_on(house: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    whole = house.upload(file(size=(300, 200))).id
    share = DECODING.share
    monkeypatch.setattr(DECODING, "share", lambda size: shares.append(size) or share(size))
    painted = house.paint(file(size=(30, 20)), PaintedLayer(whole))
    assert shares[0] == (300, 200)
    shares.clear()
    house.sketch(whole, painted)
    assert shares[0] == (300, 200)
