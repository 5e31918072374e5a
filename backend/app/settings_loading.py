"""The settings from the environment, ``.env`` and the command line, and the messages about those that are wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from .setting_types import PREFIX
from .settings import Settings


class InvalidSettings(ValueError):
    """Settings are invalid; the message has one line for each of them, without passwords."""


def load_settings(arguments: list[str] | None = None) -> Settings:
    """Return the settings from the environment, ``.env`` and, if given, the command line.

    The argument ``--help`` prints all settings and exits.

    Raises:
        InvalidSettings: Settings are invalid; the message has one line for each of them.
    """
    if unknown := [*_unknown_options(arguments or ())]:
        raise InvalidSettings("\n".join(unknown))
    try:
        return Settings() if arguments is None else CliApp.run(Settings, cli_args=arguments)
    except ValidationError as error:
        lines = [_error_line(str(detail["loc"][0]), detail["msg"], detail["input"]) for detail in error.errors()]
        raise InvalidSettings("\n".join(lines)) from None
    except UnicodeDecodeError:
        raise InvalidSettings("The file .env cannot be read: it is not UTF-8; save it as UTF-8.") from None
    except OSError as error:
        raise InvalidSettings(f"The file .env cannot be read: {error.strerror}; make it readable.") from None
    except SettingsError as error:
        raise InvalidSettings(" ".join(str(error).split())) from None


def metrics_dir_from_environment() -> Path | None:
    """Return the directory in which processes share their metrics, which is needed before the settings are read."""
    name = f"{PREFIX}METRICS_DIR"
    directory = os.environ.get(name) or dotenv_values(".env").get(name)
    return Path(directory).expanduser() if directory else None


def native_histograms_from_environment() -> bool:
    """Return whether histograms count in exponential buckets too, which is needed as early."""
    value = os.environ.get(_NATIVE_HISTOGRAMS) or dotenv_values(".env").get(_NATIVE_HISTOGRAMS)
    return str(value).strip().lower() in {"1", "true", "t", "yes", "y", "on"}  # as pydantic has it


def export_native_histograms(settings: Settings) -> None:
    """Have this process and those that it starts find in the environment what the command line said."""
    os.environ[_NATIVE_HISTOGRAMS] = str(settings.native_histograms).lower()


_NATIVE_HISTOGRAMS = f"{PREFIX}NATIVE_HISTOGRAMS"

OF_COMMANDS = frozenset({"API_KEY"})
"""Names that the commands of ``python -m app`` read, and the studio does not."""


def unknown_settings() -> Iterator[str]:
    """Yield a message for each name in the environment and in ``.env`` that looks like a setting but is none."""
    names = [name.upper() for name in Settings.model_fields]
    for variable in sorted({*os.environ, *dotenv_values(".env")}):
        name = variable.removeprefix(PREFIX)
        if name not in (variable, *names, *OF_COMMANDS):
            yield f"{variable} is no setting; {_advice(name, names, PREFIX)}"


def _unknown_options(arguments: Iterable[str]) -> Iterator[str]:
    """Yield a message for each argument that looks like an option but is none."""
    options = ["--help", *(f"--{name.replace('_', '-')}" for name in Settings.model_fields)]
    for option in (argument.partition("=")[0] for argument in arguments if argument.startswith("--")):
        if option != "--" and option not in options:
            yield f"{option} is no option; {_advice(option, options)}"


def _advice(word: str, known: Iterable[str], prefix: str = "") -> str:
    matches = get_close_matches(word, [*known], n=1)
    return f"did you mean {prefix}{matches[0]}?" if matches else "python -m app --help lists them all."


def _error_line(name: str, message: str, value: object) -> str:
    own_message = message.removeprefix("Value error, ")
    reason = own_message if own_message != message else message[:1].lower() + message[1:]
    hidden = name.endswith(("_token", "_password", "_keys", "_secret")) or (
        name.endswith("_url") and re.fullmatch(r"sqlite:[^@?]*", str(value)) is None
    )
    shown = "(not shown: it may hold a password)" if hidden else repr(value)
    return f"{PREFIX}{name.upper()} (--{name.replace('_', '-')}) = {shown}: {reason}"
