"""The key of a work: who, when, and the word to remember it by.

`gu2024mamba` is its first author's last name, its year, and the first word of
its title that tells something. A key is derived, never chosen, so whoever has
the paper knows its key, and two authors can't give it two.
"""

import functools
import re
from collections.abc import Collection
from itertools import chain, count

from pybtex.database import Entry
from pybtex.richtext import Text

from works import fold, last_name

# Words that say too little of a title to stand in a key
STOP_WORDS = frozenset(
    "a an and are as at by can do does for from how i in into"  # noqa: SIM905
    " is it its not of on or our the their this to toward towards via was we"
    " what when where which who why with you your".split()
)


@functools.cache
def plain(latex: str) -> str:
    """Fold what stands in a BibTeX field."""
    return fold(str(Text.from_latex(latex)))


def title_words(work: Entry) -> list[str]:
    """The title's words; hyphens and apostrophes join, dashes part."""
    parts = re.split(r"[\s–—/]+", plain(work.fields["title"]))
    return [w for part in parts if (w := re.sub("[^a-z0-9]", "", part))]


def derive_key(work: Entry, taken: Collection[str] = ()) -> str:
    """First author, year, and the first telling word that makes it unique."""
    name = plain(last_name(work.persons["author"][0]))
    stem = re.sub("[^a-z]", "", name) + work.fields["year"]
    words = title_words(work)
    words = [w for w in words if w not in STOP_WORDS] or words or ["work"]
    numbered = (f"{words[0]}{n}" for n in count(2))
    keys = (stem + word for word in chain(words, numbered))
    return next(key for key in keys if key not in taken)
