"""The user's model folder: what was added, under which licence, and whether it is still whole.

    <folder>/index.json        one entry per file: name, kind, hash, licence, where it came from
    <folder>/bodies/smpl.npz   the files, in formats that run nothing when they are read

Nothing is downloaded. The folder is made when the first file is added.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..protocol.errors import BadModelFile, ExtPoseError, MissingModel, UsageError
from ..protocol.files import not_writable, read_json, sha256_of, write_json, written_aside

FOLDER_VARIABLE = "EXTPOSE_MODELS"
"""Environment variable that names another folder."""


@dataclass(frozen=True)
class UserModel:
    """One file in the user's model folder."""

    name: str
    """Word for the command line: `--body smpl`."""
    kind: str
    """`body` or `weights`, later also `detector`."""
    file: str
    """Path below the folder."""
    sha256: str
    """Hash of the file in the folder."""
    source_sha256: str
    """Hash of the file that was added."""
    licence: str
    """What the licence of such files permits, in short."""


def model_folder() -> Path:
    """Where added models lie: `$EXTPOSE_MODELS`, else the platform's folder for user data."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_path("extpose", appauthor=False)) / "models"


def added_models() -> list[UserModel]:
    """What was added, by name.

    Raises:
        BadModelFile: The index is damaged.
    """
    index = model_folder() / "index.json"
    if not index.exists():
        return []
    rows = read_json(index, BadModelFile)
    try:
        return sorted((UserModel(**row) for row in rows), key=lambda model: model.name)
    except TypeError as reason:
        raise BadModelFile(
            f"`{index}` is damaged: {reason}",
            "Run `extpose models clean`, then add the files again",
        ) from reason


def find_added(kind: str, name: str) -> Path:
    """The file of an added model. Raises MissingModel as `find_added_model` does."""
    return model_folder() / find_added_model(kind, name).file


def find_added_model(kind: str, name: str) -> UserModel:
    """An added model whose file is there.

    Raises:
        MissingModel: It was not added, or its file is gone. The message says how to add it.
    """
    for model in added_models():
        if (model.kind, model.name) == (kind, name) and (model_folder() / model.file).is_file():
            return model
    was = "were" if kind == "weights" else "was"
    raise MissingModel(
        f"The {kind} `{name}` {was} not added", "Get the file, then run `extpose models add FILE`"
    )


def keep_file(
    name: str, kind: str, suffix: str, licence: str, source: Path, write: Callable[[Path], None]
) -> UserModel:
    """Put a file into the folder and into the index.

    Args:
        name: Word for the command line. A file of the same name and kind is replaced.
        kind: `body`, and so on.
        suffix: Ending of the file, with its dot.
        licence: What its licence permits.
        source: The file that is added.
        write: Writes the file's contents to the path it is given.

    Raises:
        OutputNotWritable: The folder cannot be written.
    """
    file = f"{kind}/{name}{suffix}"
    with written_aside(model_folder() / file) as aside:
        write(aside)
    model = UserModel(
        name, kind, file, sha256_of(model_folder() / file), sha256_of(source), licence
    )
    _write_index([m for m in added_models() if (m.kind, m.name) != (kind, name)] + [model])
    return model


def verify_added() -> list[tuple[UserModel, str]]:
    """Every added model with what is wrong with it; empty text when it is whole."""
    results = []
    for model in added_models():
        path = model_folder() / model.file
        if not path.is_file():
            results.append((model, "the file is gone"))
        elif sha256_of(path) != model.sha256:
            results.append((model, "the file has changed since it was added"))
        else:
            results.append((model, ""))
    return results


def clean_folder() -> list[Path]:
    """Remove files that the index does not know, and index entries whose file is gone.

    Returns:
        What was removed.
    """
    folder = model_folder()
    try:
        models = added_models()
    except ExtPoseError:
        models = []
    present = [model for model in models if (folder / model.file).is_file()]
    known = {folder / model.file for model in present} | {folder / "index.json"}
    removed = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and path not in known:
            try:
                path.unlink()
            except OSError as error:
                raise not_writable(path, error) from error
            removed.append(path)
    if folder.is_dir():
        _write_index(present)
    return removed


def check_name(name: str) -> str:
    """Refuse a name that could not be a file's. Raises UsageError."""
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise UsageError(f"`{name}` cannot be a model's name", "Use letters, digits, `-` and `_`")
    return name


def _write_index(models: list[UserModel]) -> None:
    rows: list[dict[str, Any]] = [asdict(model) for model in models]
    write_json(model_folder() / "index.json", rows)
