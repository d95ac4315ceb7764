"""What pictures are drawn on: devices of this machine, or the machines of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.worker_handle import WAITING, Handle, ProcessHandle
from backend.errors import UserError
from backend.settings import COMPILE, Settings

if TYPE_CHECKING:
    from backend.cluster.growth import Growth
    from backend.cluster.ray_cluster import RayCluster

Extensions = Callable[[], tuple[str, ...]]
NOTHING = "none"        # this front draws nothing itself
NO_RAY = "--cluster needs Ray: install it with pip install -r requirements-cluster.txt"


class Devices:
    """Starts a worker for each. `module` is what a worker's process runs."""

    def __init__(self, settings: Settings, module: str) -> None:
        """Joins the cluster of the settings, if there is one. UserError when it does not answer."""
        self._settings, self._module = settings, module
        self._environment = {**WAITING, COMPILE: "1"} if settings.compile else WAITING
        self._cluster = _joined(settings, module, self._environment) if settings.cluster else None
        self._growth: Growth | None = None

    def start(self, dispatcher: Dispatcher, load: Callable[[], tuple[int, int]], extensions: Extensions) -> None:
        """Hand the workers to the dispatcher; those of machines that join later as they come.

        `load()` counts the jobs that wait and those that are drawn; `extensions()` names the packages that a worker
        opens when it starts.
        """
        policy = self._settings.policy
        if self._cluster is None:
            names = [name for name in self._settings.device.split(",") if name != NOTHING]
            dispatcher.start({name: partial(self._new_process, name, extensions) for name in names}, policy)
            return
        from backend.cluster.growth import Growth

        dispatcher.start({}, policy)
        self._growth = Growth(partial(self._cluster.workers, extensions), dispatcher, self._cluster.ask_for,
                              lambda: load()[0], self._settings.cluster_idle * 60)
        self._growth.start()

    def stop_growing(self) -> None:
        """No worker comes any more."""
        if self._growth:
            self._growth.close()

    def leave(self) -> None:
        """The workers have stopped."""
        if self._cluster:
            self._cluster.leave()

    def _new_process(self, device: str, extensions: Extensions) -> Handle:
        return ProcessHandle(self._module, device, self._settings.policy, extensions(), self._environment)


def _joined(settings: Settings, module: str, environment: Mapping[str, str]) -> RayCluster:
    try:
        from backend.cluster.ray_cluster import RayCluster
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError(NO_RAY) from None
    return RayCluster(settings, module, environment)
