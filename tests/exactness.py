"""Whether two runs ended alike, bit for bit."""

import torch


def left(folder, last="checkpoints/last.ckpt"):
    """All that training leaves, but for seconds: last.ckpt, grids and the rows of metrics.csv."""
    stored = placeless(torch.load(folder / last, weights_only=True), str(folder))
    del stored["training_seconds"]
    for row in stored["history"]:
        del row["seconds"]
    grids = {path.name: path.read_bytes() for path in (folder / "progress").iterdir()}
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    clock = rows[0].index("seconds")
    return stored, grids, [row[:clock] + row[clock + 1 :] for row in rows]


def differences(one, two, place=""):
    """Where two nested values differ, bit for bit."""
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        return [] if torch.equal(one, two) and one.dtype == two.dtype else [place]
    if isinstance(one, dict) and isinstance(two, dict):
        keys = {**one, **two}
        nowhere = object()
        return [
            found
            for key in keys
            for found in differences(one.get(key, nowhere), two.get(key, nowhere), f"{place}.{key}")
        ]
    if isinstance(one, list | tuple) and len(one) == len(two):
        pairs = enumerate(zip(one, two, strict=True))
        return [found for i, (a, b) in pairs for found in differences(a, b, f"{place}.{i}")]
    return [] if type(one) is type(two) and one == two else [place]


def placeless(value, folder):
    """The same, without the name of the folder: Lightning keeps where `best.ckpt` lies."""
    if isinstance(value, dict):
        return {placeless(k, folder): placeless(item, folder) for k, item in value.items()}
    return value.replace(folder, "RUN") if isinstance(value, str) else value
