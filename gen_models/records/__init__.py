"""The record of a run: the contract between those who measure and those who report."""

from gen_models.records.files import write_whole
from gen_models.records.record import (
    SCHEMA,
    Anchor,
    Budget,
    Curve,
    Picture,
    Record,
    Value,
)

__all__ = ["SCHEMA", "Anchor", "Budget", "Curve", "Picture", "Record", "Value", "write_whole"]
