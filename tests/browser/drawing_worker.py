"""The fake worker as a page meets it: pictures with a shape in them, previews that come slowly. A prompt with "fail" fails."""

from __future__ import annotations

import io
import time
from multiprocessing.connection import Connection

from PIL import Image, ImageDraw, ImageFilter

from backend.errors import Problem
from backend.messages import Cancel, Done, Failed, Picture, Preview, Progress, Run, Skip
from backend.request.request import Request
from tests.tiny.fake_worker import Ended, Fake, half_drawn

PAUSE = 0.06        # seconds a step takes
TOO_LARGE = Problem("the picture does not fit into memory; try a smaller one", "width")


def picture(request: Request, blur: float = 0) -> Image.Image:
    hue = request.seed % 360
    image = Image.new("RGB", (request.width, request.height), f"hsl({hue}, 45%, 60%)")
    size = min(image.size)
    box = [(image.width - size * 0.6) / 2, (image.height - size * 0.6) / 2, (image.width + size * 0.6) / 2, (image.height + size * 0.6) / 2]
    ImageDraw.Draw(image).ellipse(box, fill=f"hsl({(hue + 150) % 360}, 70%, 45%)")
    return image.filter(ImageFilter.GaussianBlur(blur * size / 6)) if blur else image


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


class Drawing(Fake):
    def draw(self, run: Run) -> None:
        self.told -= {Cancel(run.job), Skip(run.job)}
        try:
            for index in run.indices:
                self.show(run, index, run.request.of_image(index))
            self.say(Done(run.job))
        except Ended:
            pass

    def show(self, run: Run, index: int, request: Request) -> None:
        for step in range(1, request.steps + 1):
            time.sleep(PAUSE)
            self.obey()
            if self.stopped(run, index, lambda step=step: half_drawn(self.drawn(run, index, 1 - step / request.steps), step - 1, request.steps)):
                return
            if step % 3 == 0:
                self.say(Preview(run.job, index, jpeg(picture(request, 1 - step / request.steps).resize((64, 64)))))
            self.say(Progress(run.job, index, step, request.steps))
        if "fail" in request.prompt:
            self.say(Failed(run.job, (TOO_LARGE,), "No memory"))
            raise Ended
        self.say(self.drawn(run, index))

    def drawn(self, run: Run, index: int, blur: float = 0) -> Picture:
        image, facts = picture(run.request.of_image(index), blur), {"Model": run.checkpoint.key} if run.checkpoint else {}
        return Picture(run.job, index, image.width, image.height, image.tobytes(), facts)


def main(connection: Connection, device: str, policy: str, extensions: tuple[str, ...] = ()) -> None:
    Drawing(connection).run()
