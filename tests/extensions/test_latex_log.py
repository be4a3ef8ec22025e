"""A LaTeX log is judged as its reader would: all that is wrong, no more."""

import shutil
import subprocess
import sys

import pytest

import latex_log
from latex_log import problems

# Cut from real logs
CLEAN = r"""
This is LuaHBTeX, Version 1.15.0 (TeX Live 2022/Debian)
Package: caption 2022/03/01 v3.6b Customizing captions (AR)
LaTeX Font Info:    Font shape `TU/DejaVuSansMono(0)/m/n' will be
(Font)              scaled to size 8.2pt on input line 83.
Package hyperref Info: Option `colorlinks' set to `true' on input line 29.
[1{/var/lib/texmf/fonts/map/pdftex/updmap/pdftex.map}] [2]
Underfull \hbox (badness 10000) in paragraph at lines 243--244
\TU/TeXGyrePagella(0)/m/n/10.95 parameters-[]that-[]go
 []

[3] [4
] (./book.aux)
Output written on book.pdf (4 pages, 146434 bytes).
"""
OVERFULL = r"""[1] [2]
Overfull \hbox (7.58456pt too wide) in paragraph at lines 3--4
[]\TU/TeXGyrePagella(0)/m/n/10.95 hy-brids of high-[]through-[]put
 []

"""
VBOX = "[1] [2] [3]\nOverfull \\vbox (12.0pt too high) has occurred while ..."
MISSING = (
    "Missing character: There is no 字 (U+5B57) in font [x.otf]:mode=no!"
)
REFERENCE = (
    "LaTeX Warning: Reference `nowhere' on page 4 undefined on input line 5."
)
HYPERREF = """Package hyperref Warning: Token not allowed in a PDF string:
(hyperref)                removing `math shift' on input line 286.

"""
FONT = """LaTeX Font Warning: Font shape `TU/Math(1)/b/n' undefined
(Font)              using `TU/Math(1)/m/n' instead on input line 296.

"""
ERROR = (
    "! Undefined control sequence.\n<recently read> \\nope \n\nl.7 \\nope\n"
)
TEX = r"""\chapter{One}
\label{\detokenize{one:one}}\label{\detokenize{alignment/one::doc}}
Text.
More.
"""


def test_a_clean_log_has_no_problems():
    assert problems(CLEAN) == []


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        (
            OVERFULL,
            "printed page 3: Overfull \\hbox (7.58456pt too wide) in "
            "paragraph at lines 3--4: hy-brids of high-through-put",
        ),
        (VBOX, "printed page 4: Overfull \\vbox (12.0pt too high)"),
        (MISSING, "printed page 1: Missing character: There is no 字"),
        (REFERENCE, "printed page 1: LaTeX Warning: Reference `nowhere'"),
        (
            HYPERREF,
            "Token not allowed in a PDF string: removing `math shift' on",
        ),
        (FONT, "undefined using `TU/Math(1)/m/n' instead on input line 296."),
        (ERROR, "printed page 1: ! Undefined control sequence. l.7 \\nope"),
    ],
)
def test_a_problem_is_one_readable_line(log, problem):
    (found,) = problems(log)
    assert problem in found
    assert len(problems(CLEAN + log + "\n" + CLEAN)) == 1


def test_the_page_of_the_book_is_named():
    (found,) = problems(OVERFULL, TEX)
    assert found.startswith("alignment/one, printed page 3: Overfull")


def test_command(tmp_path):
    log = tmp_path / "book.log"
    (tmp_path / "book.tex").write_text(TEX)
    for text, code, said in ((CLEAN, 0, ""), (OVERFULL, 1, "alignment/one")):
        log.write_text(text)
        run = subprocess.run(
            [sys.executable, latex_log.__file__, log],
            capture_output=True,
            text=True,
        )
        assert run.returncode == code
        assert run.stdout.startswith(said)
        assert bool(run.stdout) == bool(said)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("lualatex"), reason="needs LaTeX")
def test_a_real_run(tmp_path):
    (tmp_path / "bad.tex").write_text(
        r"\documentclass{article}\begin{document}x\newpage"
        r"\rule{40cm}{1pt} \ref{nowhere} 字\end{document}"
    )
    subprocess.run(
        ["lualatex", "-interaction=nonstopmode", "bad.tex"],
        cwd=tmp_path,
        capture_output=True,
    )
    found = "\n".join(problems((tmp_path / "bad.log").read_text()))
    assert found.count("printed page 2: Overfull \\hbox") == 1
    assert found.count("Missing character: There is no 字") == 1
    assert found.count("Reference `nowhere'") == 1
    assert "There were undefined references" in found
