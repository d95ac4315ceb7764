"""What is put in order beside the work: files that nothing needs any more, pictures that have no row."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from backend.errors import EaselError
from backend.facade import gradio_upload_folder
from backend.facade.components import Components
from backend.facade.networks import SHOWN_KINDS, Wanted
from backend.files.atomic_write import sweep_unfinished
from backend.store.damaged_rows import damage
from backend.store.database_recovery import Rescue
from backend.store.picture_import import FOLDER
from backend.store.picture_rebuild import rebuild_history
from backend.store.tables import now

SWEEP_SECONDS = 3600.0
UNFINISHED_KEPT = timedelta(days=1)     # in the bin, of half-drawn pictures that nobody chose to keep
WEBHOOKS_KEPT = timedelta(days=7)       # once they are over; until then a job's owner can look how they went
OTHERS_SECONDS = 3600.0     # what is younger on a shared folder may be another front's work
NETWORKS_SECONDS = 2.0      # after the start, and between two kinds: the page comes first
GRADIO_SECONDS = 120.0      # between two looks into Gradio's folder, which anybody can fill

log = logging.getLogger(__name__)


@contextmanager
def _tried(trouble: str) -> Iterator[None]:
    """A piece of work that costs nothing but itself when it fails, and says so in the log."""
    try:
        yield
    except (EaselError, OSError) as error:
        log.warning("%s: %s", trouble, error)
    except Exception:       # a border: the pieces after it, and the same one an hour later, are done all the same
        log.exception("%s", trouble)


class Housekeeping:
    """Works in threads of its own, and tells what people should know as notices."""

    def __init__(self, components: Components) -> None:
        beside = OTHERS_SECONDS if components.database.url else 0.0
        self._parts, self._started = components, time.time() - beside
        self._closed = threading.Event()

    def close(self) -> None:
        """Begin nothing new."""
        self._closed.set()

    def start(self, rescue: Rescue | None, history_is_new: bool) -> None:
        """`rescue`: what happened to a broken database; `history_is_new`: there was no database."""
        is_lost = bool(rescue) or history_is_new and self._parts.settings.outputs.exists()
        threading.Thread(target=self._rebuild, args=(rescue, is_lost), name="history", daemon=True).start()
        shutil.rmtree(self._parts.settings.gradio_files, ignore_errors=True)    # before the page puts anything there
        threading.Thread(target=self._sweep_often, name="uploads", daemon=True).start()
        threading.Thread(target=self._sweep_gradio_files, name="gradio files", daemon=True).start()
        threading.Thread(target=self._read_networks, name="networks", daemon=True).start()
        threading.Thread(target=self._report_damage, name="damage", daemon=True).start()

    def _read_networks(self) -> None:
        """The first look reads a header of each file, for which nobody shall wait who opens the cards."""
        for kind in SHOWN_KINDS:
            if self._closed.wait(NETWORKS_SECONDS):
                return
            with _tried(f"{kind} files could not be read ahead"):
                self._parts.networks.cards(Wanted(kind))
            with _tried(f"unfinished notes beside {kind} files could not be deleted"):
                self._parts.networks.sweep_unfinished(kind, self._started)

    def _sweep_often(self) -> None:
        parts = self._parts
        with _tried("unfinished pictures could not be deleted"):
            parts.pictures.sweep(self._started)
        with _tried("unfinished uploads could not be deleted"):
            parts.uploads.sweep_unfinished(self._started)
        with _tried("unfinished files beside the database could not be deleted"):     # styles and switches
            sweep_unfinished(parts.settings.data, self._started)
        while True:
            with _tried("uploads that nothing needs could not be deleted"):
                named = parts.jobs.pictures() | parts.preferences.pictures()
                log.info("%d uploads that nothing needs were deleted", parts.uploads.sweep(named))
            with _tried("half-drawn pictures could not be deleted"):
                forgotten = parts.gallery.bin.forget_unfinished(now() - UNFINISHED_KEPT)
                log.info("%d half-drawn pictures that nobody kept were deleted", forgotten)
            with _tried("webhooks that were delivered could not be deleted"):
                parts.webhooks.forget(now() - WEBHOOKS_KEPT)
            with _tried("links that open nothing any more could not be deleted"):
                parts.share_links.sweep()
            with _tried("old entries of the audit log could not be deleted"):
                parts.audit_log.sweep()
            if self._closed.wait(SWEEP_SECONDS):
                return

    def _sweep_gradio_files(self) -> None:
        while not self._closed.wait(GRADIO_SECONDS):
            with _tried("files that were sent to Gradio could not be deleted"):     # somebody else may tidy up, too
                deleted = gradio_upload_folder.sweep(self._parts.settings.gradio_files)
                log.debug("%d files that were sent to Gradio were deleted", deleted)

    def _report_damage(self) -> None:
        with _tried("the database could not be looked through"):
            if notice := damage(self._parts.database):
                self._parts.dispatcher.add_notice(notice)

    def _is_left_over(self, path: Path) -> bool:
        """An imported file whose process ended before its row was written. Jobs find what they have made themselves."""
        parts = path.relative_to(self._parts.settings.outputs).parts
        return FOLDER in (parts[0], *parts[2:3]) and path.stat().st_ctime < self._started

    def _rebuild(self, rescue: Rescue | None, is_lost: bool) -> None:
        notice = self._parts.dispatcher.add_notice
        if rescue:
            notice(rescue.notice)
        try:
            wanted = Path.is_file if is_lost else self._is_left_over
            parts = self._parts
            made = rebuild_history(parts.settings.outputs, parts.history, parts.users.named, wanted)
        except (EaselError, OSError) as error:
            notice(f"The history could not be made again: {error}")
            return
        except Exception as error:      # a border: who misses his pictures shall hear why
            log.exception("making the history again")
            notice(f"The history could not be made again: {type(error).__name__}")
            return
        if made:
            notice(f"{made} pictures were taken into the history again from the outputs folder.")
