"""YAML documents whose errors name file, line and key."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]


class PackError(Exception):
    """A domain pack that cannot be used; the message names file, line and key."""


def read_text(path: Path) -> str:
    """Raises PackError where `path` is missing or no UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PackError(f"{path}: file is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(f"{path}: cannot be read as UTF-8 text ({error})") from error


class Document:
    """One parsed YAML file that remembers on which line every key stands."""

    def __init__(self, path: Path) -> None:
        """Parse `path`. Raises PackError where it is missing, unreadable or not YAML."""
        self.path = path
        self._lines: dict[KeyPath, int] = {}
        try:
            root = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark else f"{path}"
            raise PackError(f"{where}: not valid YAML ({getattr(error, 'problem', error)})") from error
        self.data: Any = {} if root is None else self._construct(root, ())

    def _construct(self, node: yaml.Node, key_path: KeyPath) -> Any:
        self._lines[key_path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            mapping: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                if key in mapping:
                    raise PackError(f"{self.path}:{key_node.start_mark.line + 1}: key '{key}' stands twice")
                mapping[key] = self._construct(value_node, (*key_path, key))
                self._lines[(*key_path, key)] = key_node.start_mark.line + 1
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [self._construct(item, (*key_path, index)) for index, item in enumerate(node.value)]
        loader = yaml.SafeLoader("")
        return loader.construct_object(node)

    def mapping(self) -> dict[str, Any]:
        """The whole document as keys and values. Raises PackError where it is none."""
        if not isinstance(self.data, dict):
            raise self.error("keys with values are expected")
        return self.data

    def line(self, *key_path: str | int) -> int:
        """The line of a key, or of its nearest enclosing key."""
        while key_path and key_path not in self._lines:
            key_path = key_path[:-1]
        return self._lines.get(key_path, 1)

    def error(self, message: str, *key_path: str | int) -> PackError:
        """A PackError that points at a key of this document."""
        return PackError(f"{self.path}:{self.line(*key_path)}: {message}")

    def parse(self, model: type[Model]) -> Model:
        """Validate the whole document as `model`. Raises PackError at the first offending key."""
        try:
            return model.model_validate(self.data)
        except ValidationError as failure:
            first = failure.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise self.error(f"{key}: {first['msg']}", *first["loc"]) from None
