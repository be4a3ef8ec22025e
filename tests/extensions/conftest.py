"""Tiny books: extensions are tested on real builds of a few lines."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"

CONF = """
import sys
sys.path.insert(0, {extensions!r})
extensions = {names!r}
"""


@dataclass
class Result:
    """What one run of sphinx-build did: exit code, messages, output."""

    code: int
    log: str
    out: Path

    def html(self, docname: str = "index") -> str:
        return (self.out / f"{docname}.html").read_text()


class TinyBook:
    """A Sphinx project in a temporary folder, built as the book is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = root / "source"
        self.source.mkdir()

    def configure(self, *extensions: str, **settings: object) -> None:
        """Write conf.py: these extensions, ours among them, and settings."""
        conf = CONF.format(extensions=str(EXTENSIONS), names=list(extensions))
        for name, value in settings.items():
            conf += f"{name} = {value!r}\n"
        self.write("conf.py", conf)

    def write(self, name: str, text: str) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def build(
        self, builder: str = "html", *options: str, **env: str
    ) -> Result:
        """Run `sphinx-build -NWnT`; env adds environment variables."""
        out = self.root / builder
        command = [sys.executable, "-m", "sphinx", "-NWnT", "-b", builder]
        command += ["-d", str(self.root / f"doctrees-{builder}")]
        command += [*options, str(self.source), str(out)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, **env},
        )
        return Result(done.returncode, done.stdout + done.stderr, out)


@pytest.fixture
def tiny(tmp_path: Path) -> TinyBook:
    return TinyBook(tmp_path)
