"""A dictionary whose keys are attributes too, as configurations are in MindFormers."""

from __future__ import annotations

from typing import Any


class AttributeDict(dict[str, Any]):
    """``d.key`` is ``d["key"]``; reading an attribute that is not there gives None.

    ``str`` is readable YAML; ``repr`` is that of a dictionary.
    """

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):  # copy and pickle ask for special methods this way
            raise AttributeError(key)
        return self.get(key)

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __delattr__(self, key: str) -> None:
        try:
            del self[key]
        except KeyError:
            raise AttributeError(key) from None

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary of plain dictionaries."""
        return {key: _plain(value) for key, value in self.items()}

    def __str__(self) -> str:
        import yaml

        text: str = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        return text.rstrip("\n")


def _plain(value: Any) -> Any:
    """``value`` in types that YAML and JSON know; anything else as its text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict())
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)
