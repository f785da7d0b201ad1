"""Properties that are dear to compute and may fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gen_models.errors import UsageError

T = TypeVar("T")


class tried_once(Generic[T]):
    """`functools.cached_property` that keeps a `UsageError` as well, and raises it every time.

    Many measurements ask for the same samples; what has failed for the first fails for all.

    Args:
        make: The method.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, owner: Any, kind: type | None = None) -> T:
        """The value, made the first time."""
        made = vars(owner).setdefault("_tried", {})
        if self.make not in made:
            try:
                made[self.make] = self.make(owner)
            except UsageError as error:
                made[self.make] = error
        found = made[self.make]
        if isinstance(found, UsageError):
            raise found
        return found
