"""``python -m tools.setting_reference``: print the table of settings that `make docs` writes into docs/settings.md."""

from __future__ import annotations

from collections.abc import Iterator

from app.setting_types import PREFIX
from app.settings import Settings


def main() -> None:
    """Print the table."""
    print("\n".join(reference()))


def reference() -> Iterator[str]:
    """Yield the lines of the table, a setting each."""
    yield from ("", "| setting | default | meaning |", "|---|---|---|")
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        yield f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |"


if __name__ == "__main__":
    main()
