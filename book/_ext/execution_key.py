"""Cells run again when something they depend on changed, and only then.

jupyter-cache keys a page's results on its cells and its kernelspec. A page
that calls `snippets.ssm` would go on showing old results after `ssm.py` was
edited. So before a page is read, the sources that its cells reach through
imports of `snippets`, the recorded weights and texts that they name, and the
versions of what computes are digested, and the digest goes into the page's
kernelspec, where it becomes part of the key. Reverting an edit brings the old
digest back, and the old results with it.
"""

import ast
import hashlib
import json
import platform
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager
from myst_nb.core.read import (
    MystMetadataParsingError,
    read_myst_markdown_notebook,
)
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

from honest_build import stop

logger = logging.getLogger(__name__)

VERSIONS_OF = ("torch", "numpy", "matplotlib")
DATA_FOLDERS = ("weights", "texts")
KERNELSPEC = re.compile(r"^(kernelspec: \{name: python3[^}\n]*)\}", re.M)
EXPECTED = "kernelspec: {name: python3, display_name: Python 3}"


def versions() -> str:
    """The versions that results depend on, as one line."""
    numbers = [f"{name} {version(name)}" for name in VERSIONS_OF]
    return ", ".join([f"Python {platform.python_version()}", *numbers])


def code_of(page: str) -> str:
    """All code cells of a MyST page as one Python module."""
    cells = read_myst_markdown_notebook(page).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    to_python = TransformerManager().transform_cell  # %magic and !shell
    return "\n".join(filter(is_python, map(to_python, code)))


def is_python(code: str) -> bool:
    """Whether it parses. If not it fails when it runs, whatever the key."""
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def refuse_unreadable(
    app: Sphinx, env: BuildEnvironment, docnames: list[str]
) -> None:
    """Stop at a cell whose options are no YAML, before Sphinx trips on it."""
    for page in (env.doc2path(docname) for docname in docnames):
        try:
            code_of(Path(page).read_text(encoding="utf-8"))
        except MystMetadataParsingError as error:
            text = " ".join(str(error).split())
            where = re.search(r"at line (\d+)", text)
            what = re.search(r"msg='([^']*)'", text)
            stop(
                page,
                int(where[1]) if where else 1,
                f"{what[1] if what else text}. A text with a colon needs"
                ' quotes, or a block: "caption: |" with the text below',
            )


class Package:
    """The files of an importable package, found without importing it."""

    def __init__(self, name: str) -> None:
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"no package named {name!r}")
        self.name = name
        self.root = Path(spec.submodule_search_locations[0])

    def files(self, module: str) -> Iterator[Path]:
        """The files that importing `module` (a dotted name) executes."""
        parts = module.split(".")
        if parts[0] != self.name:
            return
        for n in range(1, len(parts) + 1):
            path = self.root.joinpath(*parts[1:n])
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.is_file():
                    yield file

    def data(self, text: str) -> Iterator[Path]:
        """The recorded files that a string constant names."""
        if re.fullmatch(r"[\w./-]{1,200}", text):
            for folder in DATA_FOLDERS:
                file = self.root / folder / text
                if file.is_file():
                    yield file

    def home(self, file: Path) -> list[str]:
        """The package a file stands in, for its relative imports."""
        return [self.name, *file.parent.relative_to(self.root).parts]

    def named_in(self, code: str, home: list[str]) -> Iterator[Path]:
        """The package's files that this code imports or names."""
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self.files(alias.name)
            elif isinstance(node, ast.ImportFrom):
                up = home[: len(home) - node.level + 1] if node.level else []
                base = ".".join([*up, *filter(None, [node.module])])
                for alias in node.names:  # a submodule, or a name in `base`
                    yield from self.files(f"{base}.{alias.name}")
            elif isinstance(node, ast.Constant):
                yield from self.data(str(node.value))

    def reached(self, code: str) -> set[Path]:
        """Everything the code depends on, through imports of imports."""
        seen: set[Path] = set()
        todo = set(self.named_in(code, []))
        while todo:
            file = todo.pop()
            seen.add(file)
            if file.suffix == ".py":
                text = file.read_text(encoding="utf-8")
                text = text if is_python(text) else ""
                todo |= set(self.named_in(text, self.home(file))) - seen
        return seen


def digest(files: Iterable[Path], root: Path, versions: str) -> str:
    """One hash of the versions and of the files' names and contents."""
    total = hashlib.sha256(versions.encode())
    for file in sorted(files):
        total.update(str(file.relative_to(root)).encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:32]


def put_key(app: Sphinx, docname: str, source: list[str]) -> None:
    """Write the digest into the kernelspec, on its line: numbers stay."""
    page = source[0]
    if "{code-cell}" not in page:
        return
    package = Package(app.config.execution_package)
    files = package.reached(code_of(page))
    for file in files:
        app.env.note_dependency(file)
    key = digest(files, package.root, app.config.execution_versions)
    source[0], found = KERNELSPEC.subn(rf"\1, sources: {key}}}", page, 1)
    if not found:
        message = (
            "this page has code cells; its front matter needs the line\n  %s"
        )
        logger.warning(message, EXPECTED, location=(docname, 1))


def clean_notebook(app: Sphinx, doctree: object) -> None:
    """Leave in the notebook that readers download what its page wrote.

    No key of ours, no random ids, and no outputs, which myst-nb writes when
    it has run the cells and not when they come from the cache.
    """
    folder = app.env.mystnb_config.output_folder
    file = Path(folder, f"{app.env.docname}.ipynb")
    if file.is_file():
        notebook = json.loads(file.read_text(encoding="utf-8"))
        notebook["metadata"].get("kernelspec", {}).pop("sources", None)
        for name in ("source_map", "language_info"):
            notebook["metadata"].pop(name, None)
        for number, cell in enumerate(notebook["cells"], 1):
            cell["id"] = f"cell-{number}"
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
                cell["metadata"].pop("execution", None)
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_config_value("execution_package", "snippets", "env", [str])
    app.add_config_value("execution_versions", versions(), "env", [str])
    app.connect("env-before-read-docs", refuse_unreadable)
    app.connect("source-read", put_key)
    app.connect("doctree-read", clean_notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
