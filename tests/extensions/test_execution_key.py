"""A page runs again exactly when something that it reaches has changed."""

import json
import os

import pytest

from execution_key import Package, code_of, digest

PAGE = """---
file_format: mystnb
kernelspec: {{name: python3, display_name: Python 3}}
---

# {title}

```{{code-cell}} python
{code}
```
"""


@pytest.fixture
def book(tiny, monkeypatch):
    """Two pages: one reaches toy.a, and through it toy.b; one only toy.c."""
    lib = tiny.root / "lib" / "toy"
    (lib / "weights").mkdir(parents=True)
    (lib / "__init__.py").write_text("")
    (lib / "a.py").write_text(
        "from .b import two\n\n\ndef f():\n    return two"
    )
    (lib / "b.py").write_text("two = 2\n")
    (lib / "c.py").write_text("three = 3\nname = 'w.json'\n")
    (lib / "weights" / "w.json").write_text("{}")
    tiny.lib = lib
    monkeypatch.setenv("PYTHONPATH", str(lib.parent))
    monkeypatch.syspath_prepend(lib.parent)
    tiny.configure(
        "myst_nb",
        "execution_key",
        "execution",
        execution_package="toy",
        nb_execution_mode="cache",
    )
    code = "from toy import a\nprint('a gives', a.f())"
    tiny.write("index.md", PAGE.format(title="One", code=code) + TOCTREE)
    code = "import toy.c\nprint(toy.c.three)"
    tiny.write("other.md", PAGE.format(title="Two", code=code))
    return tiny


TOCTREE = "\n```{toctree}\nother\n```\n"


def ran(result):
    assert result.code == 0, result.log
    lines = result.log.splitlines()
    return {line.split(":")[0] for line in lines if ": running" in line}


def edit(path, old, new):
    before = path.stat().st_mtime
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, (before + 10, before + 10))


@pytest.mark.slow
def test_only_the_pages_that_reach_an_edit_run_again(book):
    assert ran(book.build()) == {"index", "other"}
    assert ran(book.build()) == set()

    edit(book.lib / "b.py", "2", "22")
    result = book.build()
    assert ran(result) == {"index"}
    assert "a gives 22" in result.html()

    edit(book.lib / "b.py", "22", "2")
    result = book.build()
    assert ran(result) == set(), "a revert comes back from the cache"
    assert "a gives 2<" in result.html().replace("\n", "<")

    edit(book.lib / "weights" / "w.json", "{}", "[]")
    assert ran(book.build()) == {"other"}

    assert ran(book.build("html", "-Dexecution_versions=new")) == {
        "index",
        "other",
    }


def test_the_key_is_not_in_the_notebook_that_readers_get(book):
    book.build()
    notebook = book.root / "jupyter_execute" / "index.ipynb"
    kernelspec = json.loads(notebook.read_text())["metadata"]["kernelspec"]
    assert kernelspec == {"name": "python3", "display_name": "Python 3"}


def test_readers_get_the_same_notebook_from_a_run_and_from_the_cache(book):
    notebook = book.root / "jupyter_execute" / "index.ipynb"
    assert ran(book.build()) == {"index", "other"}
    first = notebook.read_text()
    assert "a gives 2" not in first
    assert ran(book.build("html", "-E")) == set()
    assert notebook.read_text() == first


def test_a_page_without_the_kernelspec_line_is_refused(tiny):
    tiny.configure(
        "myst_nb",
        "execution_key",
        execution_package="sphinx",
        nb_execution_mode="off",
    )
    page = PAGE.format(title="T", code="1 + 1").replace(
        "kernelspec: {name: python3, display_name: Python 3}",
        "kernelspec:\n  name: python3",
    )
    tiny.write("index.md", page)
    result = tiny.build()
    assert result.code == 1
    assert "index.md:1: WARNING: this page has code cells" in result.log


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("1 + 1", "---\ncaption: held: for long\n---\n1 + 1", 8),
        ("kernelspec: {", "kernelspec: {{", 1),
    ],
)
def test_options_that_are_no_yaml_stop_the_build(tiny, old, new, line):
    tiny.configure("myst_nb", "execution_key", execution_package="sphinx")
    page = PAGE.format(title="T", code="1 + 1").replace(old, new)
    path = tiny.write("index.md", page)
    result = tiny.build()
    assert result.code == 2
    (message,) = [x for x in result.log.splitlines() if "ERROR" in x]
    assert message.startswith(f"{path}:{line}: ERROR:")
    assert "needs quotes" in message
    assert "Traceback" not in result.log


def test_a_syntax_error_fails_as_the_cell_that_it_is(book):
    book.write("other.md", PAGE.format(title="Two", code="print('half"))
    result = book.build()
    assert result.code == 1
    assert "other.md:8: WARNING: cell 1 of 1 failed with Synt" in result.log


def test_imports_are_followed_in_every_form(tmp_path, monkeypatch):
    package = tmp_path / "pkg"
    files = {
        "__init__.py": "",
        "one.py": "from . import two",
        "two.py": "from .sub.three import x",
        "sub/__init__.py": "",
        "sub/three.py": "from ..four import y",
        "four.py": "import pkg.five as z",
        "five.py": "import os, torch",
        "six.py": "",
    }
    for name, text in files.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    reached = Package("pkg").reached("def f():\n    from pkg import one")
    names = {str(file.relative_to(package)) for file in reached}
    assert names == set(files) - {"six.py"}


def test_magics_are_understood():
    page = PAGE.format(title="T", code="%matplotlib inline\nimport snippets")
    assert "import snippets" in code_of(page)


def test_digest_sees_names_contents_and_versions(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("1")
    digests = [
        digest([a], tmp_path, "v1"),
        digest([a], tmp_path, "v2"),
        digest([b], tmp_path, "v1"),
        digest([a, b], tmp_path, "v1"),
    ]
    a.write_text("2")
    digests.append(digest([a], tmp_path, "v1"))
    assert len(set(digests)) == len(digests)
