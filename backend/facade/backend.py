"""The facade: opens a data folder, starts the workers, gives each user a `Door`. Exported as `Backend`."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from backend.catalog import request_files
from backend.catalog.background_scan import KnownFiles
from backend.catalog.checkpoints import tokenizer_folder
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, UPSCALER, ModelFile
from backend.catalog.network_problems import vector_counts
from backend.dispatch.metrics import Measures
from backend.errors import CheckpointError, EaselError
from backend.facade.administration import Administration
from backend.facade.components import Components, assembled
from backend.facade.devices import Devices
from backend.facade.door import Door
from backend.facade.extensions import Extensions
from backend.facade.housekeeping import Housekeeping
from backend.facade.sharing import SharedLinks
from backend.prompt import chunks
from backend.prompt.comments import without_comments
from backend.prompt.tokenizer import Tokenizer
from backend.request.request import FIELDS
from backend.settings import Settings
from backend.store.access_tokens import AccessTokens
from backend.store.accounts import Accounts
from backend.store.audit_log import AuditLog
from backend.store.database_recovery import Rescue, open_database
from backend.store.invitations import Invitations
from backend.store.password_links import PasswordLinks
from backend.store.sessions import Sessions
from backend.store.shared_login_tries import LoginTries
from backend.store.sqlite_file import Lock
from backend.store.view_types import Status, User

if TYPE_CHECKING:
    from backend.dispatch.other_fronts import OtherFronts

WORKER = "backend.worker.process"


class Backend:
    """What is the same for everybody; `as_` gives a user's own door. Thread-safe; only `close` waits for a device."""

    def __init__(self, settings: Settings, *, start_workers: bool = True, catalog: ModelCatalog | None = None,
                 worker: str = WORKER) -> None:
        """Opens the data folder; StorageError when it cannot be written or another Easel works in it.

        Jobs that were running when the house last went down wait again. `worker` names the module that a worker runs.
        UserError where the cluster of the settings does not answer.
        """
        self.settings = settings
        self._lock = None if settings.database_url else Lock(settings.data / "easel.lock")
        known = bool(settings.database_url) or settings.database.exists()
        try:
            self._devices = Devices(settings, worker)
            self._components, rescue = _opened(settings, catalog)
        except EaselError:
            self._unlock()
            raise
        self._others = _others(settings, self._components)
        if self._lock:
            self._components.jobs.release()
        self._housekeeping = Housekeeping(self._components)
        self._housekeeping.start(rescue, history_is_new=not known)
        self._started = self._closed = False
        if start_workers:
            self.start_workers()

    def start_workers(self) -> None:
        """Start a worker for each device of the settings, unless that has been done."""
        if self._started or self._closed:
            return
        self._started = True
        if self._others:
            self._others.start()
        self._devices.start(self._components.dispatcher, self._components.jobs.look.load, self.extensions.working)
        self._components.delivery.start()

    def add_notice(self, text: str) -> None:
        """A notice for everybody, until this Easel ends."""
        self._components.dispatcher.add_notice(text)

    def restart_workers(self) -> None:
        """Give workers that have failed to start another try."""
        self._components.dispatcher.restart()

    def unload_models(self) -> None:
        """Let the workers free their devices of all models that nothing is drawn with."""
        self._components.dispatcher.unload()

    def close(self) -> None:
        """Stop the workers within seconds and let go of the data folder; running jobs wait for the next start."""
        if self._closed:
            return
        self._closed = True
        self._housekeeping.close()
        self._components.delivery.close()
        self._devices.stop_growing()
        self._components.dispatcher.close()
        self._devices.leave()
        if self._others and self._started:
            self._others.close()
        self._components.database.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock:
            self._lock.release()

    @property
    def extensions(self) -> Extensions:
        return self._components.extensions

    @property
    def audit_log(self) -> AuditLog:
        return self._components.audit_log

    def administration(self, user: User, address: str) -> Administration:
        """What an admin may do, who asks from this address. Forbidden for anybody else."""
        return Administration(self, self._components, user, address)

    @property
    def shared(self) -> SharedLinks:
        """What whoever has a link may see."""
        return SharedLinks(self._components)

    # ---- users ----

    @property
    def accounts(self) -> Accounts:
        return self._components.accounts

    @property
    def sessions(self) -> Sessions:
        return self._components.sessions

    @property
    def access_tokens(self) -> AccessTokens:
        return self._components.access_tokens

    @property
    def invitations(self) -> Invitations:
        return self._components.invitations

    @property
    def password_links(self) -> PasswordLinks:
        return self._components.password_links

    @property
    def login_tries(self) -> LoginTries | None:
        """What all fronts of a shared database have counted; None where this is the only one."""
        return self._components.login_tries

    def user(self, account: str) -> User:
        """The user behind the name of an account; a new one at its first mention. StorageError."""
        known = self.accounts.named(account)
        return known.user if known else self._components.users.named(account)

    def people(self) -> list[str]:
        """The names of all who can log in, in alphabetical order."""
        return [account.user.name for account in self.accounts.all() if not account.disabled]

    def as_(self, user: User) -> Door:
        """The door of one user: `LOCAL` where nobody logs in."""
        return Door(self, self._components, user)

    # ---- catalogue ----

    def checkpoints(self, refresh: bool = False) -> list[ModelFile]:
        """All that the models folders are known to hold; looks again when asked to `refresh`, or the first time."""
        catalog = self._components.catalog
        return list(catalog.scan() if refresh else catalog.listed())

    def checkpoint(self, name_or_hash: str = "") -> ModelFile:
        """By key, file name, title or hash (6 digits or more); "" is the default one. NotFound, CheckpointError."""
        return self._components.catalog.find(CHECKPOINT, name_or_hash)

    def defaults(self, checkpoint: str = "") -> dict[str, Any]:
        """A value for every field that suits this checkpoint."""
        chosen = self.checkpoint(checkpoint)
        return _table_defaults() | self.suits(chosen) | {"checkpoint": chosen.key}

    def known_defaults(self) -> dict[str, Any]:
        """`defaults` as far as the models folders are known by now. NotFound where there is no checkpoint yet."""
        chosen = self.known_files.find(CHECKPOINT)
        return _table_defaults() | self.known_suits(chosen) | {"checkpoint": chosen.key}

    def known_suits(self, checkpoint: ModelFile) -> dict[str, Any]:
        """`suits`, without a VAE that has not been found so far."""
        return request_files.defaults_here(checkpoint, self.known_files)

    def suits(self, checkpoint: ModelFile) -> dict[str, Any]:
        """The field values that suit a checkpoint."""
        return request_files.defaults_here(checkpoint, self._components.catalog)

    @property
    def known_files(self) -> KnownFiles:
        """What is known of the models folders by now, for the page, which must not wait for them."""
        return self._components.known_files

    def model_files(self, kind: str, refresh: bool = False) -> list[ModelFile]:
        """All files of a kind of `catalog.kinds`, broken ones too; looks again when asked to `refresh`."""
        catalog = self._components.catalog
        return list(catalog.scan(kind) if refresh else catalog.listed(kind))

    def model_file(self, kind: str, name: str) -> ModelFile:
        """A file of a kind by key, file name, title or hash. Raises NotFound."""
        return self._components.catalog.find(kind, name)

    def usable_files(self, kind: str, refresh: bool = False) -> list[ModelFile]:
        """Those files of a kind that Easel can draw with; looks again when asked to `refresh`."""
        if refresh:
            self._components.catalog.scan(kind)
        return list(self._components.catalog.usable(kind))

    def can_use(self, kind: str) -> bool:
        """Whether Easel can draw with files of a kind."""
        return self._components.catalog.kinds[kind].usable

    def upscalers(self, refresh: bool = False) -> list[ModelFile]:
        """The files in the models folders that enlarge pictures; those that need no file are not among them."""
        return self.usable_files(UPSCALER, refresh)

    def face_restorers(self) -> list[str]:
        """"GFPGAN" and "CodeFormer", as far as their files are there."""
        return request_files.restorers_there(self._components.catalog)

    def known_face_restorers(self) -> list[str]:
        """Those of `face_restorers` that are known by now."""
        return request_files.restorers_there(self.known_files)

    def count_tokens(
        self, text: str, checkpoint: str = "", steps: int = 20, comments: bool = False
    ) -> tuple[int, int]:
        """How many tokens a prompt uses, and how many fit into the chunks that it takes: (12, 75).

        With `comments`, what follows a # is one and uses none.
        NotFound; CheckpointError where the checkpoint has a tokenizer of its own that cannot be read.
        """
        found = self.checkpoint(checkpoint)
        folder = tokenizer_folder(found)
        try:
            tokenizer = Tokenizer.from_folder(folder) if folder else Tokenizer.clip()
        except (OSError, ValueError) as error:
            raise CheckpointError(f"the tokenizer of {found.key} cannot be read", field=CHECKPOINT) from error
        drawn = without_comments(text) if comments else text
        return chunks.count(drawn, tokenizer, steps, vector_counts(drawn, self._components.catalog, found.family))

    def is_pending(self, job_id: str) -> bool:
        """Whether the job, anybody's, waits or runs; never waits for the database."""
        return self._components.jobs.is_pending(job_id)

    def load(self) -> tuple[int, int]:
        """How many jobs of anybody wait, and how many are drawn."""
        return self._components.jobs.look.load()

    @property
    def measures(self) -> Measures:
        """What is counted while this Easel runs."""
        return self._components.dispatcher.measures

    def status(self) -> Status:
        return self._components.dispatcher.status()


def _table_defaults() -> dict[str, Any]:
    return {name: field.default for name, field in FIELDS.items()}


def _others(settings: Settings, components: Components) -> OtherFronts | None:
    """Those that share the database, where they can."""
    if not settings.database_url:
        return None
    from backend.dispatch.other_fronts import OtherFronts

    address = f"{socket.gethostname()}:{settings.port}"
    return OtherFronts(components.database, components.jobs, components.dispatcher, address)


def _opened(settings: Settings, catalog: ModelCatalog | None) -> tuple[Components, Rescue | None]:
    """StorageError; then nothing stays open."""
    database, rescue = open_database(settings.database)
    try:
        components = assembled(settings, database, catalog)
    except EaselError:
        database.close()
        raise
    return components, rescue
