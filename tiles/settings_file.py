"""Settings typed by hand: a TOML file that fits a model, or one sentence of what is wrong."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tiles.errors import KilnlightError

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(
    path: Path, model: type[Settings], what: str, example: str, error_type: type[KilnlightError]
) -> Settings:
    """Read a TOML file as a model.

    Args:
        path: The file.
        model: What it must fit; unknown keys are for the model to refuse.
        what: What the file is, for messages: `dataset file`.
        example: A complete file of the kind, for messages.
        error_type: What is raised, with one sentence, where the file is missing or wrong.
    """
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise error_type(
            f"The {what} {path} cannot be read ({error.strerror}): check the path."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file as a whole"
        raise error_type(
            f"The {what} {path} is wrong at {where}: {first['msg']}; "
            f"see {example} for a complete one."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise error_type(f"The {what} {path} is not TOML ({error}): correct the syntax.") from error
