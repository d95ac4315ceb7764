"""The components behind the facade, created once for a data folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from backend.catalog.background_scan import KnownFiles
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.network_cards import NetworkCards
from backend.dispatch.dispatcher import Dispatcher
from backend.facade.extensions import Extensions
from backend.facade.gallery import Gallery
from backend.facade.limits import Limits
from backend.facade.networks import Networks
from backend.facade.plot_estimates import PlotEstimates
from backend.facade.unqueued_requests import Arrivals
from backend.prompt_library.library import PromptLibrary
from backend.settings import Settings
from backend.store.access_tokens import AccessTokens
from backend.store.accounts import Accounts
from backend.store.audit_log import AuditLog
from backend.store.batch_archive import BatchArchive
from backend.store.database import Database
from backend.store.disk_use import DiskUse
from backend.store.history import History
from backend.store.idempotency_keys import IdempotencyKeys
from backend.store.invitations import Invitations
from backend.store.jobs import Jobs
from backend.store.measured_jobs import MeasuredJobs
from backend.store.model_hashes import ModelHashes
from backend.store.painted_layers import PaintedLayers
from backend.store.password_links import PasswordLinks
from backend.store.picture_files import Pictures
from backend.store.plots import Plots
from backend.store.preferences import Preferences
from backend.store.sessions import Sessions
from backend.store.share_links import ShareLinks
from backend.store.shared_login_tries import LoginTries
from backend.store.uploads import Uploads
from backend.store.used_prompts import UsedPrompts
from backend.store.user_limits import UserLimits
from backend.store.users import Users
from backend.store.webhooks import Webhooks
from backend.webhooks.delivery import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Everybody's: what takes an `owner` is given a user's id by `Door`."""

    settings: Settings
    database: Database
    users: Users
    accounts: Accounts
    sessions: Sessions
    access_tokens: AccessTokens
    invitations: Invitations
    password_links: PasswordLinks
    login_tries: LoginTries | None      # None: this front is the only one, and counts by itself
    jobs: Jobs
    limits: Limits
    disk: DiskUse
    arrivals: Arrivals
    history: History
    preferences: Preferences
    pictures: Pictures
    archives: BatchArchive
    uploads: Uploads
    layers: PaintedLayers
    gallery: Gallery
    networks: Networks
    prompt_library: PromptLibrary
    catalog: ModelCatalog
    known_files: KnownFiles
    plots: Plots
    plot_estimates: PlotEstimates
    share_links: ShareLinks
    audit_log: AuditLog
    dispatcher: Dispatcher
    webhooks: Webhooks
    delivery: Delivery
    idempotency: IdempotencyKeys
    extensions: Extensions


def assembled(settings: Settings, database: Database, catalog: ModelCatalog | None = None) -> Components:
    """Everything over one open database; workers are not started. StorageError."""
    users = Users(database)
    accounts = Accounts(database, users, settings.users, settings.admins)
    jobs, history, preferences = Jobs(database), History(database), Preferences(database)
    pictures = Pictures(settings.outputs, users.of)
    inputs = settings.data / "inputs"
    disk = DiskUse(settings.outputs, inputs, users.of)
    limits = Limits(settings.limits, UserLimits(database), disk, jobs)
    uploads = Uploads(inputs, users.of, lambda: jobs.pictures() | preferences.pictures(), limits.room_for_uploads)
    catalog = catalog or ModelCatalog(settings.models, ModelHashes(database, settings.data))
    cards = NetworkCards(catalog)
    extensions = Extensions(settings)
    dispatcher = Dispatcher(jobs, history, pictures, catalog, uploads, extensions.failed, extensions.problems)
    webhooks = Webhooks(database)
    delivery = Delivery(webhooks, jobs.get, dispatcher.feed, settings.webhook_hosts)
    return Components(
        settings=settings, database=database, users=users,
        accounts=accounts, sessions=Sessions(database), access_tokens=AccessTokens(database),
        invitations=Invitations(database, accounts), password_links=PasswordLinks(database, accounts),
        login_tries=LoginTries(database) if database.url else None,
        jobs=jobs, limits=limits, disk=disk, arrivals=Arrivals(), history=history, preferences=preferences,
        pictures=pictures, archives=BatchArchive(database, pictures), uploads=uploads, layers=PaintedLayers(uploads),
        gallery=Gallery(database, history, pictures, users, accounts, limits.check_disk),
        networks=Networks(catalog, cards),
        prompt_library=PromptLibrary(settings.data, cards, UsedPrompts(database)),
        catalog=catalog,
        known_files=KnownFiles(catalog, dispatcher.models_are_read, partial(dispatcher.notice, "models folder")),
        plots=Plots(jobs), plot_estimates=PlotEstimates(MeasuredJobs(database), pictures),
        share_links=ShareLinks(database), audit_log=AuditLog(database, settings.audit_days), dispatcher=dispatcher,
        webhooks=webhooks, delivery=delivery, idempotency=IdempotencyKeys(database), extensions=extensions)
