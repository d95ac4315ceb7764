"""What is put in order beside the work: files that nothing needs any more, pictures that have no row."""

from __future__ import annotations

import logging
import threading

from backend.errors import EaselError
from backend.facade.components import Components
from backend.store.damage import damage
from backend.store.rescue import Rescue

log = logging.getLogger(__name__)


class Housekeeping:
    """Works in threads of its own, and tells what people should know as notices."""

    def __init__(self, components: Components) -> None:
        self._parts = components

    def start(self, rescue: Rescue | None, history_is_new: bool) -> None:
        """`rescue`: what happened to a broken database; `history_is_new`: there was no database."""
        if rescue or history_is_new and self._parts.settings.outputs.exists():
            threading.Thread(target=self._rebuild, args=(rescue,), name="history", daemon=True).start()
        threading.Thread(target=self._sweep, name="uploads", daemon=True).start()
        threading.Thread(target=self._tell_damage, name="damage", daemon=True).start()

    def _sweep(self) -> None:
        try:
            swept = self._parts.uploads.sweep(self._parts.jobs.pictures())
        except (EaselError, OSError) as error:
            log.warning("uploads that nothing needs could not be deleted: %s", error)
        else:
            log.info("%d uploads that nothing needs were deleted", swept)

    def _tell_damage(self) -> None:
        try:
            if told := damage(self._parts.database):
                self._parts.dispatcher.add_notice(told)
        except EaselError as error:
            log.warning("the database could not be looked through: %s", error)

    def _rebuild(self, rescue: Rescue | None) -> None:
        notice = self._parts.dispatcher.add_notice
        if rescue:
            notice(rescue.notice)
        try:
            made = self._parts.pictures.rebuild_history(self._parts.history, self._parts.users.named)
        except EaselError as error:
            notice(f"The history could not be made again: {error}")
            return
        if made:
            notice(f"{made} pictures were taken into the history again from the outputs folder.")
