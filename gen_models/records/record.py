"""The record: all that is kept of one run, and all that a report may know of it."""

import json
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from gen_models.errors import UsageError
from gen_models.records.files import write_whole
from gen_models.records.schema import one_line, parse, too_deep
from gen_models.records.value import Value

SCHEMA = 4
"""The version of the record's form; a field more, less or renamed is another version."""

READABLE = (1, 2, 3, 4)
"""Versions that can be read: what each has more than the one before may be left out."""


@dataclass(frozen=True)
class Curve:
    """A quantity over the real images shown; None is a gap (a loss that was not finite).

    Attributes:
        seconds: Of training until then, validations included; empty where nobody looked.

    Raises:
        UsageError: If there are not as many images, or seconds, as values, or some are below 0.
    """

    name: str
    images: tuple[int, ...]
    values: tuple[float | None, ...]
    seconds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.images) != len(self.values):
            raise UsageError(f"{len(self.images)} images but {len(self.values)} values")
        if self.seconds and len(self.seconds) != len(self.values):
            raise UsageError(f"{len(self.seconds)} seconds but {len(self.values)} values")
        _refuse_negative({"images": min(self.images, default=0)})


@dataclass(frozen=True)
class Picture:
    """A PNG in the run folder: a grid of tiles.

    Attributes:
        rows: What each row of tiles shows, from the top; empty where all show the same.

    Raises:
        UsageError: If the file is not a path inside the run folder, written with slashes and
            printable characters.
    """

    name: str
    title: str
    file: str
    caption: str = ""
    rows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if not self.file or path.is_absolute() or ".." in path.parts:
            raise UsageError(f"file {self.file!r} must be a path inside the run folder")
        if not self.file.isprintable():
            raise UsageError(f"file {self.file!r} must be of printable characters")


@dataclass(frozen=True)
class Event:
    """What was warned of in training, and how many real images had been shown by then.

    Raises:
        UsageError: If that is below 0.
    """

    images: int
    kind: str
    text: str

    def __post_init__(self) -> None:
        _refuse_negative({"images": self.images})


@dataclass(frozen=True)
class Measured:
    """A later measurement of a trained run: its values and pictures are of this, not of training.

    Attributes:
        created: ISO 8601 time.
        command: How it was started.
        commit: Of the code that measured.
        versions: Of what the numbers hang on.
    """

    created: str
    command: str
    versions: dict[str, str]
    commit: str | None = None


@dataclass(frozen=True)
class Budget:
    """What the run was given, in real images and passes over all phases, and took, in seconds.

    Raises:
        UsageError: If one of them is below 0.
    """

    images_seen: int
    iterations: int
    training_seconds: float
    evaluation_seconds: float

    def __post_init__(self) -> None:
        _refuse_negative(asdict(self))


@dataclass(frozen=True)
class Record:
    """One run: how it was made, what it cost and what was measured.

    Attributes:
        status: Only "finished" runs are averaged; the others are counted and listed.
        reason: Why it did not finish, or finished before its budget was spent.
        created: ISO 8601 time.
        shape: (C, H, W) of the images.
        parameters: Count per network.
        sampling: How samples were drawn: mode and weights.
        selection: The curve that `best.ckpt` is the lowest point of.
        measured: Where values and pictures come from, if not from the run itself.

    Raises:
        UsageError: If the shape, the time, a count, a repeated name or a value makes no sense.
    """

    status: Literal["finished", "interrupted", "diverged", "failed"]
    model: str
    data: str
    seed: int
    created: str
    command: str
    config: dict[str, Any]
    versions: dict[str, str]
    hardware: dict[str, Any]
    shape: tuple[int, ...]
    split: dict[str, int]
    data_fingerprint: str
    parameters: dict[str, int]
    budget: Budget
    values: tuple[Value, ...] = ()
    curves: tuple[Curve, ...] = ()
    pictures: tuple[Picture, ...] = ()
    events: tuple[Event, ...] = ()
    reason: str | None = None
    commit: str | None = None
    sampling: str = ""
    selection: str = ""
    measured: Measured | None = None

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise UsageError(f"shape must be (channels, height, width), got {list(self.shape)}")
        try:
            # A time may have no place in the zone of this machine: the year 1 begins in year 0.
            datetime.fromisoformat(self.created).timestamp()
        except (ValueError, OverflowError, OSError):
            raise UsageError(f"created must be an ISO 8601 time, got {self.created!r}") from None
        for field, items in (
            ("values", self.values),
            ("curves", self.curves),
            ("pictures", self.pictures),
        ):
            _refuse_repeated(field, (item.name for item in items))
        _refuse_negative(self.split | self.parameters | {"seed": self.seed})
        for value in self.values:
            if misfit := value.misfit():
                raise UsageError(f"values.{value.name}: {misfit}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a record.

        Raises:
            UsageError: If the file cannot be read, is no JSON, or is no record of this schema.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}: not whole JSON ({error}); run it again") from None
        return cls.from_json(data, str(path))

    @classmethod
    def from_json(cls, data: Any, where: str) -> Self:
        """Check what `json.loads` gave; `where` names the file in the error.

        Raises:
            UsageError: If the schema version is unknown or a field does not fit.
        """
        version = data.get("schema") if isinstance(data, dict) else None
        if version not in READABLE or isinstance(version, bool):
            raise UsageError(
                f"{where}: schema {reprlib.repr(version)} is unknown, this version of gen_models"
                f" reads {', '.join(map(str, READABLE))}; read it with the version that wrote it"
            )
        if too_deep(data):
            raise UsageError(f"{where}: nested too deeply to be a record")
        rest = {key: item for key, item in data.items() if key != "schema"}
        try:
            return parse(cls, rest, "record")
        except UsageError as error:
            # Names in it are the file's, and may hold anything.
            raise UsageError(f"{where}: {one_line(str(error))}") from None

    def to_json(self) -> dict[str, Any]:
        """The record as JSON data, the schema version first."""
        return {"schema": SCHEMA, **asdict(self)}

    def write(self, path: Path) -> Path:
        """Check and write the record whole: a crash leaves the old file or the new one.

        Raises:
            UsageError: If a field has the wrong type or a number is not finite; the file is left
                as it was.
        """
        data = self.to_json()
        self.from_json(data, str(path))
        return write_whole(path, json.dumps(data, allow_nan=False, indent=1) + "\n")


def _refuse_repeated(field: str, names: Iterable[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise UsageError(f"{field}: the name {name!r} stands {times} times; names are unique")


def _refuse_negative(counts: Mapping[str, float]) -> None:
    for name, count in counts.items():
        if count < 0:
            raise UsageError(f"{name} {count} is below 0")
