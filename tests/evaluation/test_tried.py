"""A property that is made once, and fails once."""

import pytest

from gen_models.errors import UsageError
from gen_models.evaluation.tried import tried_once


class Maker:
    tries = 0

    @tried_once
    def good(self):
        self.tries += 1
        return object()

    @tried_once
    def bad(self):
        self.tries += 1
        raise UsageError("cannot be made")


def test_it_is_made_once():
    one, other = Maker(), Maker()
    assert one.good is one.good
    assert one.good is not other.good
    assert one.tries == other.tries == 1


def test_it_fails_once_and_says_so_every_time():
    maker = Maker()
    for _ in range(2):
        with pytest.raises(UsageError, match="cannot be made"):
            maker.bad  # noqa: B018
    assert maker.tries == 1
