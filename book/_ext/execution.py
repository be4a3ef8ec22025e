"""Runs the cells of a page: watched, bounded, on one thread, offline.

myst-nb runs a page through one function of jupyter-cache. Ours takes its
place. It says which page runs and how long that took; it gives the kernel
one thread, a fixed hash seed and no way out of this machine; and it reports
a cell that fails, writes to stderr or exceeds its time by page, line and
number, with the kernel's own traceback. What is reported here is never
cached, so it is reported again until it is mended.
"""

import logging
import os
import re
import time
from functools import partial
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.executors.utils import ExecutionResult
from myst_nb.core.execute import cache
from myst_nb.sphinx_ import NbMetadataCollector
from nbclient import NotebookClient
from nbclient.exceptions import (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger
from sphinx.util.typing import ExtensionMetadata
from traitlets.config import Config as Settings

logger = getLogger(__name__)

KERNEL = Path(__file__).parents[1] / "_kernel"  # its sitecustomize.py
# encrypted, since ipykernel otherwise warns that other users could listen
ENCRYPTED = Settings({"KernelManager": {"transport_encryption": "auto"}})
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def kernel_environment() -> dict[str, str]:
    paths = [str(KERNEL), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def say(page: str, text: str) -> None:
    """Tell at once: Sphinx holds a worker's messages until it is done."""
    print(f"{page}: {text}", flush=True)


def stderr_of(nb: NotebookNode) -> tuple[int, str] | None:
    """The first cell that wrote to stderr, and what it wrote."""
    for index, cell in enumerate(nb.cells):
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                return index, output.text
    return None


class Run:
    """One run of one page."""

    def __init__(self, page: str, nb: NotebookNode, limit: int) -> None:
        self.page, self.nb, self.limit = page, nb, limit
        code = [i for i, c in enumerate(nb.cells) if c.cell_type == "code"]
        self.number = {index: n for n, index in enumerate(code, 1)}
        self.cell = code[0] if code else 0
        self.seconds: dict[int, float] = {}

    def started(self, cell: NotebookNode, cell_index: int) -> None:
        self.cell = cell_index
        self.seconds[cell_index] = -time.perf_counter()

    def ended(self, cell: NotebookNode, cell_index: int, **_: object) -> None:
        self.seconds[cell_index] += time.perf_counter()

    def execute(self, cwd: str) -> Exception | None:
        """Run all cells; report and return what went wrong, if anything."""
        client = NotebookClient(
            self.nb,
            timeout=self.limit,
            record_timing=False,  # it would enter the key of the cache
            config=ENCRYPTED,
            on_cell_execute=self.started,
            on_cell_executed=self.ended,
        )
        try:
            client.execute(cwd=cwd, env=kernel_environment())
        except CellTimeoutError as error:
            return self.report(error, f"ran over its limit, {self.limit} s")
        except DeadKernelError as error:
            return self.report(error, "killed its kernel (out of memory?)")
        except CellExecutionError as error:
            what = f"failed with {error.ename}: {error.evalue}"
            return self.report(error, what, error.traceback)
        if wrote := stderr_of(self.nb):
            self.cell, text = wrote
            error = CellExecutionError(text, "stderr", text)
            return self.report(error, "wrote to stderr", text)
        return None

    def report(
        self, error: Exception, what: str, detail: str = ""
    ) -> Exception:
        source = self.nb.cells[self.cell].source
        line = self.nb.metadata.source_map[self.cell]
        logger.warning(
            "cell %d of %d %s\n%s",
            self.number[self.cell],
            len(self.number),
            what,
            ANSI.sub("", detail) or source,
            location=(self.page, line),
            type="execution",
        )
        return error

    def summary(self) -> str:
        slowest = max(self.seconds, key=self.seconds.__getitem__)
        return (
            f"ran {len(self.seconds)} cells in"
            f" {sum(self.seconds.values()):.1f} s; the slowest, cell"
            f" {self.number[slowest]}, took {self.seconds[slowest]:.1f} s"
        )


def spare_the_echo() -> None:
    """Don't report each number that a page lacks whose cells failed."""
    for handler in logging.getLogger("sphinx").handlers:
        handler.addFilter(
            lambda record: vars(record).get("subtype") != "glue"
        )


def run_page(
    app: Sphinx, nb: NotebookNode, cwd: str, timeout: int, **_: object
) -> ExecutionResult:
    """Stand in for jupyter-cache's `single_nb_execution`."""
    run = Run(app.env.docname, nb, timeout)
    say(run.page, "running")
    start = time.perf_counter()
    error = run.execute(cwd)
    if error:
        spare_the_echo()
    elif run.seconds:
        say(run.page, run.summary())
    return ExecutionResult(nb, cwd, time.perf_counter() - start, error)


def make_cache(app: Sphinx) -> None:
    """Make the cache's database before parallel workers all try to."""
    path = app.env.mystnb_config.execution_cache_path
    get_cache(path).get_cache_limit()


def stop_after_failures(app: Sphinx, env: BuildEnvironment) -> None:
    """Don't write pages when cells failed: what lacks would be reported."""
    runs = {
        page: NbMetadataCollector.get_exec_data(env, page)
        for page in env.found_docs
    }
    failed = [page for page, run in runs.items() if run and run["error"]]
    if failed:
        raise SystemExit(f"no book: cells failed in {', '.join(failed)}")


def drop_reports_of_myst_nb(app: Sphinx, config: Config) -> None:
    """Our report of a failing cell replaces the two of myst-nb."""
    config.suppress_warnings.append("mystnb.exec")


def setup(app: Sphinx) -> ExtensionMetadata:
    cache.single_nb_execution = partial(run_page, app)
    app.connect("config-inited", drop_reports_of_myst_nb)
    app.connect("builder-inited", make_cache, priority=900)
    app.connect("env-updated", stop_after_failures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
