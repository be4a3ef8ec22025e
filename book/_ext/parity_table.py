"""The table of what is checked against what, taken from the parity tests.

Each of those tests carries

    @pytest.mark.parity(
        ours="ssm.recurrence",
        theirs="transformers: Mamba2Mixer.torch_forward",
        convention="the caller multiplies x by dt",
        tolerance="1e-4, float32",
    )

and `{parity-table}` shows these marks. The tests are read, not imported: the
book's environment has none of the libraries they compare with.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from honest_build import stop

FIELDS = ("ours", "theirs", "convention", "tolerance")
HEADINGS = ("ours", "the field's", "convention", "largest difference allowed")


def marks(file: Path) -> Iterator[dict[str, str]]:
    """The parity marks of a test file, each with its four texts."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        for mark in node.decorator_list:
            if not isinstance(mark, ast.Call):
                continue
            if ast.unparse(mark.func) != "pytest.mark.parity":
                continue
            texts = {k.arg: ast.literal_eval(k.value) for k in mark.keywords}
            if texts.keys() != set(FIELDS):
                fields = ", ".join(FIELDS)
                stop(file, mark.lineno, f"a parity mark has {fields}")
            yield texts


class ParityTable(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.srcdir, self.config.parity_tests)
        rows = []
        for file in sorted(folder.glob("test_*.py")):
            self.env.note_dependency(file)
            rows += [[mark[f] for f in FIELDS] for mark in marks(file)]
        lines = ["```{list-table}", ":class: parity longtable"]
        lines += [":header-rows: 1", ":widths: 24 30 28 18"]
        for row in [HEADINGS, *map(self.cells, rows)]:
            lines += [
                "",
                f"* - {row[0]}",
                *(f"  - {text}" for text in row[1:]),
            ]
        return self.parse_text_to_nodes("\n".join([*lines, "```"]))

    def cells(self, row: list[str]) -> list[str]:
        """The cells as MyST, each of our functions with its link."""
        names = row[0].split(", ")
        links = (f"{{py:obj}}`{n} <snippets.{n}>`" for n in names)
        return [", ".join(links), *row[1:]]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_config_value("parity_tests", "../tests/parity", "env", [str])
    app.add_directive("parity-table", ParityTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
