"""The plan of the house, checked: which module may know which, what never happens at import, what is not written at all."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
ROOTS = ("app.py", "backend", "ui", "extensions")

# The arrow, from the ground up. A module may import its own layer and those above it in this list, nothing below.
# A name stands for itself and everything inside it, unless a longer name is listed.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("backend.errors", "backend.version", "backend.settings", "backend.logs", "backend.gradio_stubs", "backend.table", "backend.sampling", "backend.catalog.headers",
     "backend.files", "backend.catalog.pickle_calls", "backend.catalog.pickle_interpreter", "backend.catalog.fingerprints",
     "backend.catalog.folder_scan", "backend.catalog.model_file", "backend.prompt_library.text_files",
     "backend.extensions.blame", "backend.extensions.manifest"),
    ("backend.request", "backend.flags", "backend.prompt", "backend.catalog.families"),
    ("backend.messages", "backend.image", "backend.request.preferences"),
    ("backend.house", "backend.catalog", "backend.extensions", "backend.plots", "backend.store", "backend.prompt_library.wildcard_files", "backend.prompt_library.structured_wildcards", "backend.prompt_library.tags",
     "backend.prompt_library.styles_csv"),
    ("backend.dispatch.event_feed", "backend.dispatch.metrics", "backend.dispatch.progress", "backend.dispatch.worker_handle", "backend.dispatch.watchdog", "backend.dispatch.in_flight_limits", "backend.dispatch.plot_changes",
     "backend.dispatch.recorder", "backend.dispatch.supervisor_services", "backend.facade.gallery"),
    ("backend.dispatch.supervisor", "backend.cluster", "backend.prompt_library.dynamic_prompts", "backend.prompt_library.autocomplete",
     "backend.facade.missing_files"),
    ("backend.dispatch", "backend.prompt_library", "backend.webhooks"),
    ("backend", "backend.facade"),
    ("backend.http", "ui", "extensions"),
    ("app",),
)
# The other side: the process with the device. It shares the ground with the front, and no front module imports it.
WORKER = ("backend.worker", "backend.sampling.noise")
WORKER_MAY = ("backend.errors", "backend.version", "backend.settings", "backend.table", "backend.sampling", "backend.request",
              "backend.prompt", "backend.messages", "backend.house", "backend.files",
              "backend.catalog", "backend.extensions.blame", "backend.extensions.manifest", "extensions", *WORKER)

# Layers inside the worker, from the ground up, by the same rule.
WORKER_LAYERS: tuple[tuple[str, ...], ...] = (
    ("backend.worker.device", "backend.sampling.noise", "backend.worker.pixels"),
    ("backend.worker.models", "backend.worker.faces"),
    ("backend.worker.guidance", "backend.worker.adapters", "backend.worker.pixels.pixel_networks", "backend.worker.pixels.preview"),
    ("backend.worker.draw",),
    ("backend.worker.engine", "backend.worker.scores"),
    ("backend.worker",),
    ("extensions",),
)

HEAVY = {"torch", "torchvision", "torchsde", "diffusers", "transformers", "accelerate", "peft", "scipy", "cv2", "insightface",
         "onnxruntime", "controlnet_aux", "spandrel", "spandrel_extra_arches", "torchmetrics", "torch_fidelity"}
FRONT_ONLY = {"gradio", "fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "argon2"}
NAMELESS = {"utils", "util", "common", "misc", "shared", "helpers", "helper"}

# Where any error at all may be caught, and what it then costs.
BORDERS = {
    "backend/worker/engine/engine.py": "one program: its job fails, the others go on",
    "backend/worker/models/side_stream.py": "one piece of work beside the rest: what fails in it is raised where its result is asked for",
    "backend/worker/models/foreign_loaders.py": "one file that a library reads: whatever it raises is told of the file",
    "backend/worker/models/run_errors.py": "one call of a network from somebody's file: what fails in it, in whichever library, is told of the file",
    "backend/worker/models/memory.py": "one call for which memory may be short: libraries have errors of their own for it, and what means something else is raised again",
    "backend/worker/engine/guide_loading.py": "one preview of a guide: what looked for it is told why there is none",
    "backend/worker/engine/face_comparison.py": "one look at two faces: who asked is told why there is no answer",
    "backend/worker/engine/face_location.py": "one look for faces: who asked is told why there is no answer",
    "backend/worker/engine/interrogation.py": "one picture to be described: who asked is told why it is not",
    "backend/worker/scores/scorer.py": "one measurement: the others are made",
    "backend/dispatch/scoring.py": "one round of measuring: the next one is made",
    "backend/dispatch/supervisor.py": "one round of a device, or one job sent to it: the device does not stay idle for good",
    "backend/dispatch/other_fronts.py": "one sign of life: the next one is given",
    "backend/store/front_messages.py": "one message of another front: the next ones are heard",
    "backend/cluster/growth.py": "one look for workers: the next one is made",
    "backend/webhooks/delivery.py": "one look for webhooks, or one attempt: the others are made",
    "backend/facade/housekeeping.py": "one piece of tidying: the others are done",
    "backend/catalog/background_scan.py": "one kind's first look: the others are made, and it again",
    "backend/catalog/model_catalog.py": "one model file: the others are listed",
    "backend/http/public_link.py": "the tunnel: who waits for the link is told that none comes",
    "backend/worker/process.py": "a command or event that cannot be carried: the worker ends and is replaced",
    "backend/http/async_watch.py": "one look at what changed: the open pages are told of what comes later",
    "backend/extensions/registration.py": "one extension: the others and Easel itself start",
    "ui/__init__.py": "one extension's tab: the rest of the page is there",
    "backend/dispatch/recorder.py": "what was told of one job: the next one is still recorded",
    "backend/http/foreign_routes.py": "one request of Gradio's: the client is told that it cannot be read",
}


def product() -> list[Path]:
    files = [file for root in ROOTS for file in ([HOME / root] if root.endswith(".py") else (HOME / root).rglob("*.py"))]
    return sorted(file for file in files if "migrations" not in file.parts)


def module_of(file: Path) -> str:
    parts = file.relative_to(HOME).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"), str(file))


@cache
def modules() -> dict[str, Path]:
    return {module_of(file): file for file in product()}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(node: ast.AST, *, at_import: bool, expressions: bool = True) -> Iterator[ast.AST]:
    """All nodes below, or all but expressions; `at_import`: only those that run when the module is imported."""
    waiting = [*ast.iter_child_nodes(node)][::-1]
    while waiting:
        child = waiting.pop()
        if isinstance(child, ast.expr) and not expressions:
            continue
        if at_import and (is_type_checking(child) or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            continue
        yield child
        waiting += [*ast.iter_child_nodes(child)][::-1]


@cache
def imports(file: Path, *, at_import: bool = False) -> set[str]:
    """Dotted names of the modules that a file imports."""
    found: set[str] = set()
    for node in statements(tree(file), at_import=at_import, expressions=False):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import hides where it leads"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & modules().keys()) | ({node.module or ""} if inner - modules().keys() else set())
    return found


def within(module: str, names: tuple[str, ...]) -> str:
    """The longest of the names that `module` is or lies in, "" if none."""
    return max((name for name in names if module == name or module.startswith(f"{name}.")), key=len, default="")


def layer(module: str, layers: tuple[tuple[str, ...], ...] = LAYERS) -> int:
    names = tuple(name for names in layers for name in names)
    return next(i for i, group in enumerate(layers) if within(module, names) in group)


def is_worker(module: str) -> bool:
    return bool(within(module, WORKER)) or module.startswith("extensions.") and module.endswith(".worker")


def test_every_module_has_a_place() -> None:
    everything = tuple(name for names in LAYERS for name in names if name != "backend")
    lost = [m for m in modules() if m != "backend" and not within(m, everything) and not is_worker(m)]
    assert not lost, f"no layer of tests/test_house.py names {lost}"


def test_the_arrow_never_runs_back() -> None:
    wrong = [
        f"{module} -> {target}"
        for module, file in modules().items() if not is_worker(module)
        for target in imports(file) & modules().keys()
        if is_worker(target) or layer(target) > layer(module)
    ]
    assert not wrong


def test_the_worker_knows_nothing_of_the_front() -> None:
    wrong = [
        f"{module} -> {target}"
        for module, file in modules().items() if is_worker(module)
        for target in imports(file) & modules().keys() if not within(target, WORKER_MAY)
    ]
    assert not wrong


def test_inside_the_worker_the_arrow_never_runs_back_either() -> None:
    wrong = [
        f"{module} -> {target}"
        for module, file in modules().items() if is_worker(module)
        for target in imports(file) & modules().keys()
        if is_worker(target) and layer(target, WORKER_LAYERS) > layer(module, WORKER_LAYERS)
    ]
    assert not wrong


def test_the_page_enters_by_the_front_door() -> None:
    wrong = [
        f"{module} -> {target}"
        for module, file in modules().items() if within(module, ("ui",))
        for target in imports(file) if target.startswith("backend.")
    ]
    assert not wrong


def test_imports_make_no_cycle() -> None:
    edges = {module: imports(file, at_import=True) & modules().keys() - {module} for module, file in modules().items()}
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for target in sorted(edges[module]):
                walk(target, (*path, module))
            done.add(module)

    for module in edges:
        walk(module, ())


def test_front_modules_import_nothing_heavy() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, file in modules().items() if not is_worker(module)
        for name in imports(file, at_import=True) if name.split(".")[0] in HEAVY
    ]
    assert not wrong


def tables() -> set[str]:
    """Names of the module-level tables: `FIELDS: Table[Field] = Table(...)`."""
    return {
        node.target.id
        for file in modules().values() for node in tree(file).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
        and ast.unparse(node.annotation).startswith("Table[")
    }


def reads_of_tables(module: ast.Module, names: set[str]) -> Iterator[int]:
    """Lines that take something out of a table while the module is imported; live views of it take nothing."""
    for node in statements(module, at_import=True):
        if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load):
            live = re.search(rf"\b{node.id}\.(derived|where|by|add)\(|\bNames\({node.id}\b|\brecord={node.id}\b|: Table\[.*= {node.id}$",
                             ast.unparse(parents(module)[node]))
            if not live:
                yield node.lineno


@cache
def parents(module: ast.Module) -> dict[ast.AST, ast.AST]:
    """The statement or class field that each name stands in."""
    return {
        inner: outer
        for outer in ast.walk(module) if isinstance(outer, ast.stmt) and not isinstance(outer, ast.ClassDef)
        for inner in ast.walk(outer) if isinstance(inner, ast.Name)
    }


def test_nothing_is_read_from_a_table_before_the_house_has_filled_it() -> None:
    names = tables()
    assert {"FIELDS", "SAMPLERS", "SCHEDULES"} <= names
    wrong = [f"{module}, line {line}" for module, file in modules().items() for line in reads_of_tables(tree(file), names)]
    assert not wrong
    assert [*reads_of_tables(ast.parse("X = [f for f in FIELDS.values()]\nY = FIELDS.where(len)"), names)] == [1]


def rooms_of_the_map() -> dict[str, set[str]]:
    """Folder -> the files that docs/architecture.md names in its room."""
    _, *rooms = re.split("^### ", (HOME / "docs" / "architecture.md").read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for heading, _, body in (room.split("\n## ")[0].partition("\n") for room in rooms):
        for folder in re.findall(r"`([\w/]+)/`", heading.split(":")[0]):
            found[folder] = set(re.findall(r"`(\w+)`", body))
    return found


def test_the_map_names_every_file_and_no_other() -> None:
    there: dict[str, set[str]] = {}
    for file in product():
        folder = file.relative_to(HOME).parent.as_posix().removeprefix("backend/")
        if file.name != "__init__.py" and file.name != "app.py" and not folder.startswith(("extensions/", "ui/")):
            there.setdefault(folder, set()).add(file.stem)
    rooms = {folder: names for folder, names in rooms_of_the_map().items() if folder in there}
    assert rooms.keys() == there.keys(), "docs/architecture.md has a heading for each folder"
    lost = [f"{folder}/{name}" for folder, names in there.items() for name in sorted(names - rooms[folder])]
    gone = [f"{folder}/{name}" for folder, names in rooms.items() for name in sorted(names - there[folder])]
    assert not lost, f"docs/architecture.md does not say where these are: {lost}"
    assert not gone, f"docs/architecture.md names files that are not there: {gone}"


def test_documents_name_files_that_are_there() -> None:
    """By their ends: `models/loader.py`, `dispatch/metrics`, `tests/gpu`. What lies below models/ is mostly people's own, below openai/ mostly a network."""
    there = [file.relative_to(HOME).as_posix() for root in (*ROOTS, "tests", "training", "benchmarks") for file in [HOME / root, *(HOME / root).rglob("*")]]
    known = {f"/{path}" for path in there} | {f"/{path.rpartition('.')[0]}" for path in there if "." in path}
    rooms = {Path(path).parent.name for path in there if path.endswith((".py", ".js"))} - {"models", "openai", ""}
    gone = {(document.name, path) for document in [HOME / "README.md", *(HOME / "docs").glob("*.md"), *HOME.glob("*/README.md")]
            for path in re.findall(r"`([\w./-]+/[\w.-]+)`", document.read_text("utf-8"))
            if (path.endswith((".py", ".js")) or path.partition("/")[0] in rooms) and not any(f"{each}/".endswith(f"/{path}/") for each in known)}
    assert not gone, gone


@pytest.mark.slow
def test_the_front_process_is_free_of_torch_and_nothing_is_frozen_at_import() -> None:
    script = ("import sys, app, backend, backend.http.server, backend.facade.backend, backend.house, ui\n"
              f"print(sorted(set({sorted(HEAVY)!r}) & set(sys.modules)))\n"
              "print([table.name for table in backend.house.House()._tables() if table.frozen])")
    ran = subprocess.run([sys.executable, "-c", script], cwd=HOME, capture_output=True, text=True, timeout=120)
    assert ran.stdout.split("\n")[:2] == ["[]", "[]"], ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_worker_needs_neither_the_page_nor_the_database() -> None:
    """It runs where only torch and what reads and draws is installed."""
    script = ("import gc, sys\n"
              "gc.disable()\n"        # as in a worker that starts
              f"sys.modules.update(dict.fromkeys({sorted(FRONT_ONLY)!r}))\n"
              "import backend.worker.process")
    ran = subprocess.run([sys.executable, "-c", script], cwd=HOME, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stderr


def test_no_with_around_a_yield_where_generators_are_programs() -> None:
    """A program that waits inside a `with` keeps what the block holds for as long as it waits."""
    wrong = [
        f"{module}.{function.name}, line {block.lineno}"
        for module, file in modules().items() if within(module, ("backend.worker", "backend.sampling"))
        for function in ast.walk(tree(file)) if isinstance(function, ast.FunctionDef)
        if not any("contextmanager" in ast.unparse(decorator) for decorator in function.decorator_list)
        for block in statements(function, at_import=True) if isinstance(block, ast.With)
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in statements(block, at_import=True))
    ]
    assert not wrong


def test_what_is_not_written_here() -> None:
    assert [wrong for file in product() for wrong in not_written_here(file, file.relative_to(HOME).as_posix())] == []


def not_written_here(file: Path, name: str) -> Iterator[str]:
    if NAMELESS & set(Path(name).with_suffix("").parts):
        yield f"{name}: name it after the noun it serves"
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Global):
            yield f"{name}, line {node.lineno}: a global that changes belongs to an object"
        if isinstance(node, ast.ExceptHandler) and name not in BORDERS:
            caught = ast.unparse(node.type) if node.type else "BaseException"
            if re.search(r"\b(Base)?Exception\b", caught):
                yield f"{name}, line {node.lineno}: name the error, or add a border to this test"


CALLERS = ("app.py", "backend", "ui", "extensions", "benchmarks", "training")
PLAIN = {"staticmethod", "classmethod", "property", "cached_property", "cache", "lru_cache", "contextmanager"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def named_in(node: ast.AST) -> Counter[str]:
    """How often names are used below a node: as such, as attributes, or in a text that is one, such as "module:name"."""
    found: Counter[str] = Counter()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            found[inner.id] += 1
        elif isinstance(inner, ast.Attribute):
            found[inner.attr] += 1
        elif isinstance(inner, ast.ImportFrom):
            found.update(alias.name for alias in inner.names if alias.asname)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and re.fullmatch(r"[\w.:]+", inner.value):
            found.update(re.split(r"[.:]", inner.value))
    return found


def used_names() -> Counter[str]:
    """In everything that runs but the tests; to be imported or listed in `__all__` is no use."""
    roots = [HOME / root for root in CALLERS]
    files = [file for root in roots for file in ([root] if root.suffix else root.rglob("*.py"))]
    found: Counter[str] = Counter()
    for file in files:
        for node in tree(file).body:
            if not isinstance(node, ast.Assign) or ast.unparse(node.targets[0]) != "__all__":
                found.update(named_in(node))
    return found


def definitions(file: Path) -> Iterator[tuple[str, Definition]]:
    """Functions and classes of a module, and methods of classes without bases, that nobody else has a name for.

    A decorator that registers is a use, and so is a table's name; methods of subclasses are their base's to call.
    """
    for node in tree(file).body:
        if isinstance(node, Definition) and not node.name.startswith("__") and not _is_registered(node):
            yield f"{module_of(file)}.{node.name}", node
        if isinstance(node, ast.ClassDef) and not node.bases:
            yield from ((f"{module_of(file)}.{node.name}.{inner.name}", inner) for inner in node.body
                        if isinstance(inner, Definition) and not inner.name.startswith("__") and not _is_registered(inner))


def _is_registered(node: Definition) -> bool:
    if isinstance(node, ast.ClassDef):
        return any("__tablename__" in ast.unparse(line) for line in node.body if isinstance(line, ast.Assign))
    decorators = {ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in node.decorator_list}
    return bool(decorators - PLAIN)


def unused(definition: Definition, used: Counter[str]) -> bool:
    """Whether nothing outside of the definition names it."""
    return used[definition.name] <= named_in(definition)[definition.name]


def test_nothing_is_there_for_tests_alone() -> None:
    used = used_names()
    found = {name for file in product() for name, node in definitions(file) if unused(node, used)}
    assert found == set(), "use it where it belongs, or remove it with its tests"


def test_no_constant_is_there_that_nobody_reads() -> None:
    used, found = used_names(), set()
    for file in product():
        for node in tree(file).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            found |= {name.id for name in targets if isinstance(name, ast.Name) and name.id.isupper() and used[name.id] < 2}
    assert found == set(), "use it where it belongs, or remove it"


@pytest.mark.parametrize(("source", "is_unused"), [
    ("def lost(): pass", True), ("def lost(n): return lost(n - 1)", True), ("class Lost: pass", True),
    ("from a import lost\ndef lost(): pass", True), ("def found(): pass\nfound()", False),
    ("def found(): pass\nTABLE = {'x': found}", False), ("def found(): pass\nrun('module:found')", False),
    ("from a import found as other\ndef found(): pass", False),
])
def test_what_counts_as_a_use(source: str, is_unused: bool) -> None:
    module = ast.parse(source)
    (definition,) = (node for node in module.body if isinstance(node, Definition))
    assert unused(definition, named_in(module)) == is_unused


def distribution(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(file: str) -> set[str]:
    lines = [line for line in (HOME / file).read_text("utf-8").splitlines() if line and not line.startswith(("#", "-r"))]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines), f"{file}: pin exactly"
    return {distribution(line.split("==")[0]) for line in lines}


def test_everything_imported_is_pinned() -> None:
    owners = packages_distributions()
    wanted = {
        distribution(owners[top][0])
        for file in product()
        for top in {name.split(".")[0] for name in imports(file)}
        if top not in sys.stdlib_module_names and top in owners
    }
    assert wanted <= pinned("requirements.txt") | pinned("requirements-cluster.txt") | pinned("requirements-postgres.txt")
    pinned("requirements-dev.txt")


def test_nobody_is_an_owner_by_default() -> None:
    """Whose things are meant is always said: a forgotten argument must not give somebody else's."""
    wrong = [
        f"{module}.{function.name}"
        for module, file in modules().items()
        for function in ast.walk(tree(file)) if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for name, default in defaults(function) if name in ("owner", "user") and default is not None and ast.unparse(default) != "None"
    ]
    assert not wrong


def defaults(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, ast.expr | None]]:
    named = [*function.args.posonlyargs, *function.args.args]
    yield from zip([arg.arg for arg in reversed(named)], [*reversed(function.args.defaults)] + [None] * len(named), strict=False)
    yield from ((arg.arg, default) for arg, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True))


def test_routes_and_pages_go_through_a_users_own_door() -> None:
    """Only the front door passes ids of users on; what stands before it holds a door that is bound to one."""
    wrong = [
        f"{module}, line {node.lineno}"
        for module, file in modules().items() if within(module, ("ui", "backend.http"))
        for node in ast.walk(tree(file))
        if isinstance(node, ast.arg) and node.arg == "owner" or isinstance(node, ast.Attribute) and node.attr == "_components"
    ]
    assert not wrong


def test_scripts_name_no_address_of_the_server_past_the_root_path() -> None:
    """Behind a proxy Easel may lie below a path: `ask`, `post` and `sendFile` know it, what else takes an address gets it from `withRoot`."""
    past = re.compile(r"""(?:\b(?:src|srcset|href|action|url|fetch|EventSource|open|download)\s*[=:(]|url\()\s*["'`]?/(?:easel|sdapi|api|gradio_api)/""")
    for file in [*(HOME / "ui").rglob("*.js"), *(HOME / "extensions").rglob("*.js"), *(HOME / "ui").rglob("*.html")]:
        if "vendor" not in file.parts:
            found = past.findall(file.read_text("utf-8").replace("download(`", ""))
            assert not found, f"{file.name}: {found}; take the address from withRoot() of scripts/root.js"


def test_no_name_in_a_script_hides_one_that_it_imports() -> None:
    """A parameter or a local name that is called as an imported function makes a call of that function something else."""
    for file in [*(HOME / "ui").rglob("*.js"), *(HOME / "extensions").rglob("*.js")]:
        if "vendor" in file.parts:
            continue
        source = file.read_text("utf-8")
        imported = {name.split(" as ")[-1].strip() for names in re.findall(r"^import \{([^}]*)\}", source, re.M) for name in names.split(",")}
        local = re.findall(r"\b(?:const|let|var) (\w+)\b|\b(\w+) =>|\(\{ ([^()]*) \}\) =>|\(([\w, ]*)\) =>", source)
        names = {name.split(":")[-1].split("=")[0].strip() for found in local for part in found for name in part.split(",")} - {""}
        assert not imported & names, f"{file.name}: {imported & names}"
