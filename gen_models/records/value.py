"""One measured number with all that it takes to read it."""

from dataclasses import dataclass
from typing import Literal

from gen_models.errors import UsageError
from gen_models.records.quantities import LARGEST, quantity_of

ASPECTS = (
    "distance",
    "fidelity",
    "diversity",
    "memorisation",
    "reconstruction",
    "likelihood",
    "latent space",
    "protocol",
)
"""What a value tells of, in the order of the report."""


@dataclass(frozen=True)
class Anchor:
    """The same measurement on something known: real data (floor) or a trivial model (ceiling)."""

    value: float
    of: str


@dataclass(frozen=True)
class Value:
    """One measured number, or the reason why there is none.

    Attributes:
        name: Carries protocol and unit (`fid_digits64_1000_test`); runs are joined by it alone.
        title: What people call it.
        value: In `unit`; None exactly where `reason` says why.
        unit: The unit in words.
        low: Lower end of the interval, in `unit`.
        high: Upper end of the interval, in `unit`.
        interval: Which interval it is: "95 %, bootstrap over samples".
        count: Samples that went into it.
        protocol: How it was measured, in one sentence.
        better: Which direction is better; None where neither is.
        floor: The measurement on real data.
        ceiling: The measurement on a trivial model.
        reason: Why there is no value: "GAN has no encoder".
        aspect: One of `ASPECTS`, or empty.
        extractor: Whose features it is made of ("digits64"): values of one title that differ in it
            are two views of the same question.
        error: Standard error over samples within the run, in `unit`.
        anchors: The measurement on further known things.
        restates: Title of the value that this one says again, in another unit or corrected: models
            are compared on that one.

    Raises:
        UsageError: If value and reason, or the parts of the interval, contradict each other.

    >>> Value("kl_nats", "Rate", None, "nats", reason="GAN has no encoder").reason
    'GAN has no encoder'
    """

    name: str
    title: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    count: int | None = None
    protocol: str = ""
    better: Literal["lower", "higher"] | None = None
    floor: Anchor | None = None
    ceiling: Anchor | None = None
    reason: str | None = None
    aspect: str = ""
    extractor: str | None = None
    error: float | None = None
    anchors: tuple[Anchor, ...] = ()
    restates: str | None = None

    def __post_init__(self) -> None:
        if self.aspect not in ("", *ASPECTS):
            raise UsageError(f"aspect {self.aspect!r} is none of {', '.join(ASPECTS)}")
        if (self.value is None) != bool(self.reason):
            raise UsageError("value is null exactly where reason says why; give one of the two")
        if (self.low is None) != (self.high is None):
            raise UsageError("low and high come together; give both or neither")
        if self.low is None or self.high is None:
            return
        if self.value is None or not self.interval:
            raise UsageError("low and high need a value, and an interval that says what they are")
        if self.low > self.high:
            raise UsageError(f"low {self.low} lies above high {self.high}; swap them")

    def misfit(self) -> str | None:
        """Why the numbers cannot stand in a record, in words; None where they can.

        They are finite, no standard error or count is negative, the interval holds the value, and
        unit and range are those that the name promises.
        """
        known = {
            "floor": self.floor,
            "ceiling": self.ceiling,
            **{f"anchor of {anchor.of}": anchor for anchor in self.anchors},
        }
        held = {name: None if a is None else a.value for name, a in known.items()}
        every = {**held, "low": self.low, "high": self.high, "error": self.error}
        for name, number in {"value": self.value, **every}.items():
            # Written so that NaN is refused.
            if number is not None and not abs(number) <= LARGEST:
                return f"{name} is not finite"
        for name, count in (("error", self.error), ("count", self.count)):
            if count is not None and count < 0:
                return f"{name} {count:g} is below 0"
        low, value, high = self.low, self.value, self.high
        if low is not None and high is not None and value is not None and not low <= value <= high:
            return f"the interval [{low:g}, {high:g}] does not hold the value {value:g}"
        quantity = quantity_of(self.name)
        return None if quantity is None else quantity.misfit(self.unit, {"value": value, **held})
