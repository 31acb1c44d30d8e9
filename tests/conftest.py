"""Under pytest, as under trial, the suite works in a directory of its own.

``TestCase.mktemp`` makes its files in the working directory. Trial goes to ``_trial_temp`` for
that; pytest would leave them where it was started.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        yield
