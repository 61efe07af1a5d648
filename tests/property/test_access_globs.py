from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from modelserver.policy.access import ModelRule

GLOBS = st.text(alphabet="ab-*?", min_size=1, max_size=12).filter(lambda glob: not glob.startswith("!"))
NAMES = st.text(alphabet="ab-", max_size=12)


@given(glob=GLOBS, name=NAMES)
def test_globs_agree_with_fnmatch(glob: str, name: str) -> None:
    expected = fnmatch.fnmatchcase(name, glob)

    assert expected is ModelRule((glob,)).allows(name, ())


@given(globs=st.lists(GLOBS, max_size=4), name=NAMES)
def test_an_excluded_glob_allows_what_the_glob_does_not(globs: list[str], name: str) -> None:
    expected = not any(fnmatch.fnmatchcase(name, glob) for glob in globs)

    assert expected is ModelRule(("*", *(f"!{glob}" for glob in globs))).allows(name, ())
