"""The record of a run: the contract between those who measure and those who report."""

from gen_models.records.files import whole, write_whole
from gen_models.records.record import (
    SCHEMA,
    Budget,
    Curve,
    Event,
    Measured,
    Picture,
    Record,
)
from gen_models.records.value import ASPECTS, Anchor, Value

__all__ = [
    "ASPECTS",
    "SCHEMA",
    "Anchor",
    "Budget",
    "Curve",
    "Event",
    "Measured",
    "Picture",
    "Record",
    "Value",
    "whole",
    "write_whole",
]
