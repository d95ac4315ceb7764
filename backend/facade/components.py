"""What stands behind the front door, wired together once for a data folder."""

from __future__ import annotations

from dataclasses import dataclass

from backend.catalog.checkpoints import Catalog
from backend.catalog.upscalers import UpscalerCatalog
from backend.dispatch.dispatcher import Dispatcher
from backend.facade.gallery import Gallery
from backend.prompt_library.library import PromptLibrary
from backend.settings import Settings
from backend.store.batch_archive import BatchArchive
from backend.store.database import Database
from backend.store.history import History
from backend.store.jobs import Jobs
from backend.store.painted_layers import PaintedLayers
from backend.store.picture_files import Pictures
from backend.store.preferences import Preferences
from backend.store.uploads import Uploads
from backend.store.used_prompts import UsedPrompts
from backend.store.users import Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Everybody's: what takes an `owner` is given a user's id by `Door`."""

    settings: Settings
    database: Database
    users: Users
    jobs: Jobs
    history: History
    preferences: Preferences
    pictures: Pictures
    archives: BatchArchive
    uploads: Uploads
    layers: PaintedLayers
    gallery: Gallery
    prompt_library: PromptLibrary
    catalog: Catalog
    upscalers: UpscalerCatalog
    dispatcher: Dispatcher


def assembled(settings: Settings, database: Database, catalog: Catalog | None = None) -> Components:
    """Everything over one open database; workers are not started. StorageError."""
    users = Users(database)
    jobs, history, preferences = Jobs(database), History(database), Preferences(database)
    pictures = Pictures(settings.outputs, users.of)
    uploads = Uploads(settings.data / "inputs", users.of)
    catalog = catalog or Catalog(settings.models, settings.data)
    upscalers = UpscalerCatalog(settings.models)
    return Components(
        settings=settings, database=database, users=users, jobs=jobs, history=history, preferences=preferences,
        pictures=pictures, archives=BatchArchive(database, pictures), uploads=uploads, layers=PaintedLayers(uploads),
        gallery=Gallery(database, history, pictures),
        prompt_library=PromptLibrary(settings.data, settings.models, UsedPrompts(database)),
        catalog=catalog, upscalers=upscalers,
        dispatcher=Dispatcher(jobs, history, pictures, catalog, uploads, upscalers))
