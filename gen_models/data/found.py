"""The image files below a folder, of data or of samples, in the order of their paths."""

import os
from pathlib import Path

from gen_models.errors import UsageError

# torchvision's IMG_EXTENSIONS and GIF; anything else in the folder is passed over.
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Found files with their class, None where there are no class folders.
Found = list[tuple[Path, str | None]]


def is_image(path: Path) -> bool:
    """Whether a path is a file with an image's extension and no hidden one.

    Example:
        >>> is_image(Path("no/such/file.png"))
        False
    """
    return path.suffix.lower() in EXTENSIONS and path.name[0] != "." and path.is_file()


def images_below(folder: Path) -> list[Path]:
    """The images in a folder and its sub-folders, sorted by path; hidden folders are passed over.

    Links to folders are followed, when all else is found: whatever leads to a folder, its images
    come once. A link back to where the folder lies is a loop, and leads nowhere.
    """
    found: list[Path] = []
    seen = set(folder.resolve().parents)
    starts = [folder]
    for start in starts:  # grows by the links that are met
        for place, folders, files in os.walk(start):
            here = Path(place)
            if (real := here.resolve()) in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if name[0] != ".")
            found += [path for name in files if is_image(path := here / name)]
            starts += [path for name in folders if (path := here / name).is_symlink()]
    return sorted(found, key=Path.as_posix)


def find_images(folder: Path) -> Found:
    """The images of one split, sorted by path: loose in the folder, or one sub-folder per class.

    Raises:
        UsageError: If there are both.
    """
    entries = sorted(folder.iterdir(), key=lambda path: path.name)
    loose: Found = [(path, None) for path in entries if is_image(path)]
    classed: Found = [
        (path, entry.name)
        for entry in entries
        if entry.is_dir() and entry.name[0] != "."
        for path in images_below(entry)
    ]
    if loose and classed:
        raise UsageError(
            f"data.root: {folder} holds loose images ({loose[0][0].name}) beside folders of images "
            f"({classed[0][1]}); put every image into a class folder, or none"
        )
    return loose or classed
