"""A build that failed leaves nothing behind that lets the next one pass.

Sphinx warns about a page when it reads it, and a page that was read once is
not read again. So after `-W` turned a warning into a failure, the same
command would succeed without the warning. A marker stands in the doctree
folder while a build runs and stays there unless the build ends without a
single warning; a build that finds it forgets what was read and reads every
page anew. The results of cells are kept elsewhere, so this costs seconds.

What makes reading pages pointless, a page or a file that can't be parsed,
stops the build at once with the one message that matters.
"""

import sys
from pathlib import Path
from typing import NoReturn

from sphinx.application import ENV_PICKLE_FILENAME, Sphinx
from sphinx.config import Config
from sphinx.util.typing import ExtensionMetadata

MARKER = "unfinished"


def forget_unfinished(app: Sphinx, config: Config) -> None:
    marker = Path(app.doctreedir, MARKER)
    if marker.exists():
        Path(app.doctreedir, ENV_PICKLE_FILENAME).unlink(missing_ok=True)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def stop(file: Path | str, line: int, message: str) -> NoReturn:
    """End the build; as an exception, Sphinx would bury it in a report."""
    print(f"{file}:{line}: ERROR: {message}", file=sys.stderr)
    raise SystemExit(2)


def finish(app: Sphinx, error: Exception | None) -> None:
    if error is None and app._warncount == 0:
        Path(app.doctreedir, MARKER).unlink(missing_ok=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("config-inited", forget_unfinished, priority=0)
    app.connect("build-finished", finish, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
