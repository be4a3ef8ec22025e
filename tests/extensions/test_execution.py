"""A cell that fails is reported by page, line and number, every time."""

import pytest

PAGE = """---
file_format: mystnb
kernelspec: {{name: python3, display_name: Python 3}}
---

# Title

```{{code-cell}} python
print("first")
```

```{{code-cell}} python
{code}
```
"""


@pytest.fixture
def book(tiny):
    tiny.configure(
        "myst_nb",
        "honest_build",
        "execution_key",
        "execution",
        execution_package="sphinx",
        nb_execution_mode="cache",
        nb_execution_timeout=4,
        nb_output_stderr="remove",
    )
    return tiny


FAILURES = {
    "zero": ("1/0", "failed with ZeroDivisionError: division by zero"),
    "stderr": ("import warnings\nwarnings.warn('old')", "wrote to stderr"),
    "slow": ("import time\ntime.sleep(60)", "ran over its limit, 4 s"),
    "dead": ("import os\nos._exit(1)", "killed its kernel"),
    "address": (
        "import socket\nsocket.create_connection(('192.0.2.1', 80), 1)",
        "failed with PermissionError: the cells of a page may not use",
    ),
    "name": (
        "import urllib.request\nurllib.request.urlopen('http://a.example')",
        "may not use the network, but one asked for 'a.example'",
    ),
    "nested": ("def f():\n    1/0\n\nf()", "----> 4 f()"),
}


@pytest.mark.slow
def test_failures_are_reported_the_second_time_as_the_first(book):
    pages = "\n".join(FAILURES)
    book.write("index.md", f"# Book\n\n```{{toctree}}\n{pages}\n```\n")
    for name, (code, _) in FAILURES.items():
        echo = "\nIt lacks {glue:text}`this`, which nobody reports.\n"
        book.write(f"{name}.md", PAGE.format(code=code) + echo)
    for result in [book.build("html", "-jauto") for _ in range(2)]:
        assert result.code == 1
        assert not list(result.out.glob("*.html"))
        assert "no book: cells failed in" in result.log
        reports = result.log.split("WARNING: cell ")[1:]
        assert len(reports) == len(FAILURES) == result.log.count("WARNING")
        assert "\x1b[" not in "".join(reports[:-1])
        for name, (_, message) in FAILURES.items():
            assert f"{name}.md:12: WARNING: cell 2 of 2" in result.log
            assert message in result.log


@pytest.mark.slow
def test_a_mended_page_passes_and_a_broken_one_stays_out_of_the_cache(book):
    book.write("index.md", PAGE.format(code="1/0"))
    assert book.build().code == 1
    book.write("index.md", PAGE.format(code="1/1"))
    assert book.build().code == 0
    book.write("index.md", PAGE.format(code="1/0"))
    assert book.build().code == 1


def test_kernels_have_one_thread_fixed_hashes_and_loopback(book):
    code = """import os, socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
print(os.environ["OMP_NUM_THREADS"], os.environ["PYTHONHASHSEED"])"""
    book.write("index.md", PAGE.format(code=code))
    result = book.build()
    assert result.code == 0, result.log
    assert "1 0" in result.html()
    assert "index: ran 2 cells in" in result.log
