"""Starts Easel: flags -> Settings -> front door -> HTTP and page -> server.

A worker process imports this file again, so its top level stays light: everything heavy is imported in `serve`.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backend import logs
from backend.errors import EaselError, StorageError, UserError
from backend.extensions.manifest import found, name_of, usable
from backend.extensions.switches import Switches
from backend.flags import Refusal, import_folder, parser, settings_from
from backend.settings import Settings

if TYPE_CHECKING:
    from backend import Backend

REPORT_EVERY = 100      # pictures of an import between two lines about it

QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 after a clean stop, 2 when Easel refuses to start."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.environ.update(QUIET)
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["user"]:
        from backend.facade import account_commands

        return account_commands.run(given[1:])
    logs.set_up("text")
    try:
        flags = parser().parse_args(given)
        settings = with_extensions(settings_from(flags, os.environ))
        logs.set_up(settings.log_format)
        pictures = import_folder(flags, settings)
        with bound(settings) as listener:
            starts_again = serve(settings, listener, pictures)
        if starts_again:
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606
    except Refusal as refusal:
        print(f"Easel does not start: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def with_extensions(settings: Settings) -> Settings:
    """The settings with the extensions that are there, fit this Easel and are not switched off. Raises Refusal.

    One that ended the last start is switched off.
    """
    switches = Switches(settings.extension_switches)
    try:
        switches.blame_the_last_start()
    except StorageError as error:
        raise Refusal(f"{str(error).rstrip('.')}; give --data another.") from None
    packages = usable(found(settings.extension_folder))
    return replace(settings, extensions=tuple(each for each in packages if switches.is_on(name_of(each))))


def bound(settings: Settings) -> socket.socket:
    """The listening socket, taken before anything slow happens. Raises Refusal."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except (OSError, OverflowError) as error:
        where = f"port {settings.port} of {settings.host}"
        raise Refusal(f"{where} cannot be used ({error}); give --port another.") from None


def serve(settings: Settings, listener: socket.socket, pictures: Path | None = None) -> bool:
    """Runs until a signal, after the import of `pictures`; jobs still queued are there at the next start.

    Whether Easel shall be started again at once. Raises Refusal.
    """
    os.environ.setdefault("GRADIO_TEMP_DIR", str(settings.gradio_files))  # not where others of the machine can look
    gc.disable()  # a fifth of the start would go into looking for garbage among modules
    from backend import gradio_stubs

    gradio_stubs.leave_out()
    import ui
    from backend import Backend, http
    from backend.house import House, sentences
    from backend.http.server import Server

    house = House()
    ui.fill(house.tabs)
    http.fill(house.routers)
    switches = Switches(settings.extension_switches)
    try:
        troubles = house.open(settings.extensions, switches.opening)
    finally:
        switches.opening("")
    try:
        backend = Backend(settings, start_workers=False)
    except StorageError as error:
        other = "" if settings.database_url else "; give --data another"
        raise Refusal(f"{str(error).rstrip('.')}{other}.") from None
    except UserError as error:
        raise Refusal(f"{error}.") from None
    try:
        prepare_accounts(backend)
        if pictures:
            take_in(backend, pictures)
        for package, why in troubles.items():
            backend.extensions.left_out(package, why)
        for sentence in sentences(troubles):
            backend.add_notice(sentence)
        app = http.create_app(backend, house.routers)
        ui.mount(app, backend, path="/", tabs=house.tabs)
        http.build_routes(app)
        gc.freeze()
        gc.enable()
        listeners = [listener, app.state.public_link.listener()] if settings.share else [listener]
        server = Server(app, backend)
        server.run(sockets=listeners)
        return server.starts_again
    finally:
        backend.close()


def prepare_accounts(backend: Backend) -> None:
    """The first account as the settings say, and the address for it. Raises Refusal where strangers could come in."""
    from backend.http.server import address

    settings = backend.settings
    try:
        if settings.first_admin:
            backend.accounts.add_first_admin(*settings.first_admin)
        if problem := backend.accounts.missing_for(settings):
            raise Refusal(problem)
        if settings.setup_link and not backend.accounts.exist:
            link = backend.invitations.make("admin", setup=True)
            print(f"Make the first account at {address(settings.host, settings.port)}/join/{link}", flush=True)
    except EaselError as error:
        raise Refusal(f"the first account cannot be made: {error}") from None


def take_in(backend: Backend, folder: Path) -> None:
    """Copy a folder's pictures into the history and tell how it goes. Raises Refusal when the disk is full."""
    from backend import LOCAL
    gc.enable()     # this may take a while
    try:
        for progress in backend.as_(LOCAL).gallery.take_in_folder(folder):
            if progress.processed % REPORT_EVERY == 0 or progress.processed == progress.total:
                print(f"Import of {folder}: {progress}", flush=True)
    except StorageError as error:
        raise Refusal(f"the import stopped: {error} What was copied stays; --import goes on from there.") from None


if __name__ == "__main__":
    sys.exit(main())
