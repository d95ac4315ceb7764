"""Joining a Ray cluster: how many workers it has room for, and how each is started.

Each GPU of the cluster becomes a worker; in a cluster without GPUs each machine does, unless --device says which.
Machines that join later are used from then on, and a cluster that can grow is asked for as many as the queue could keep
busy.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from backend.cluster.growth import kept_busy
from backend.cluster.model_copies import FileSource
from backend.cluster.model_source import ModelSource, SourceFile
from backend.cluster.ray_handle import RayHandle
from backend.cluster.remote_worker import RemoteWorker
from backend.dispatch.worker_handle import Handle
from backend.errors import NotFound, UserError
from backend.settings import Settings
from backend.version import VERSION

COPIES = "~/.cache/easel/models"
AUTO = "auto"
KNOCK_SECONDS = 5.0
GROUPS = {"commands": 1, "events": 1, "control": 1}     # calls of an actor that do not wait for each other's


class ClusterSource:
    """The front's `ModelSource`, from another machine."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def files(self, path: str) -> list[SourceFile]:
        return self._asked(self._actor.files.remote(path))

    def read(self, path: str, offset: int, length: int) -> bytes:
        return self._asked(self._actor.read.remote(path, offset, length))

    def _asked(self, answer: Any) -> Any:
        try:
            return ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            raise NotFound(str(error.cause)) from None
        except ray.exceptions.RayError as error:
            raise NotFound(f"the machine with the models does not answer ({type(error).__name__})") from None


class RayCluster:
    """A cluster that this process has joined. `module` is what a worker's process runs, with `environment` added."""

    def __init__(self, settings: Settings, module: str, environment: Mapping[str, str]) -> None:
        """Raises UserError when there is no cluster at the address."""
        _knock(settings.cluster)
        try:
            ray.init(address=settings.cluster, namespace="easel", log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _unanswered(settings.cluster, error) from None
        self._settings, self._module, self._environment = settings, module, dict(environment)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        source = ray.remote(ModelSource).options(num_cpus=0, scheduling_strategy=here)
        self._source: FileSource = ClusterSource(source.remote([str(folder) for folder in settings.models]))

    def size(self) -> int:
        """How many workers there is room for now."""
        gpus = int(ray.cluster_resources().get("GPU", 0))
        machines = sum(bool(node["Alive"] and node["Resources"].get("CPU")) for node in ray.nodes())
        return min(gpus if self._draws_on_cards() else machines, self._settings.cluster_workers)

    def workers(self, extensions: Callable[[], tuple[str, ...]]) -> dict[str, Callable[[], Handle]]:
        """All that there is room for now, by names that stay; each starts on whichever machine has a device free.

        `extensions()` names the packages that a worker opens when it starts.
        """
        kind = "card" if self._draws_on_cards() else "machine"
        return {f"{kind} {number + 1}": partial(self._new_worker, extensions) for number in range(self.size())}

    def ask_for(self, waiting: int) -> None:
        """Let a cluster that can grow, or shrink, know how many workers `waiting` jobs keep busy."""
        request_resources(bundles=[self._resources()] * min(kept_busy(waiting), self._settings.cluster_workers))

    def leave(self) -> None:
        """The cluster goes on without this Easel."""
        request_resources(bundles=[])
        ray.shutdown()

    def _draws_on_cards(self) -> bool:
        wanted = self._settings.device
        return wanted == "cuda" or wanted != "cpu" and bool(ray.cluster_resources().get("GPU"))

    def _resources(self) -> dict[str, float]:
        return {"GPU": 1} if self._draws_on_cards() else {"CPU": 1}

    def _new_worker(self, extensions: Callable[[], tuple[str, ...]]) -> Handle:
        needs = self._resources()
        options = {"num_gpus": needs.get("GPU", 0), "num_cpus": needs.get("CPU", 0), "scheduling_strategy": "SPREAD",
                   "max_restarts": 0}
        settings = self._settings
        return RayHandle(ray.remote(concurrency_groups=GROUPS)(RemoteWorker).options(**options).remote(
            VERSION, self._module, "cuda" if "GPU" in needs else "cpu", settings.policy, extensions(),
            self._environment, self._source, COPIES))


def _knock(address: str) -> None:
    """Ray itself tries for minutes where nobody answers. Raises UserError."""
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f"the address of a Ray cluster is host:port, such as 192.168.1.10:6379, not {address}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unanswered(address, error) from None


def _unanswered(address: str, error: Exception) -> UserError:
    if address == AUTO and isinstance(error, ConnectionError):
        return UserError("this machine is in no Ray cluster: start one by ray start --head, "
                         "or give --cluster an address")
    return UserError(f"no Ray cluster answers at {address}: {str(error).splitlines()[0].rstrip('.')}")
