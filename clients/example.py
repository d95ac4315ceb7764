"""Draws a picture, shows how far it is, and saves it: python example.py "a lighthouse at dawn"."""

import sys

from easel_client import Easel

with Easel() as easel:
    job = easel.submit(prompt=" ".join(sys.argv[1:]) or "a large red circle on a blue background")
    for event in easel.events(job, previews=False):
        if event.progress and event.progress.steps:
            print(f"step {event.progress.step} of {event.progress.steps}", end="\r")
        if event.image:
            print("saved", easel.save(event.image, f"{event.image.id}.{event.image.format}"))
