"""Files of text whose errors name the line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path


class DataError(ValueError):
    """Data that cannot be used; the message names file and line."""


def _gap(text: str, place: int) -> int:
    """Where the next thing stands after white space and commas."""
    while text[place].isspace() or text[place] == ",":
        place += 1
    return place


def json_rows(text: str, key: str) -> Iterator[tuple[int, object]]:
    """The rows of the list under a top-level key of valid JSON, each with its line."""
    opening = re.search(rf"{re.escape(json.dumps(key))}\s*:\s*\[\s*", text)
    if opening is None:  # a key that is written with other escapes
        return
    place, decoder = opening.end(), json.JSONDecoder()
    line = text.count("\n", 0, place) + 1
    while text[place] != "]":
        row, end = decoder.raw_decode(text, place)
        yield line, row
        following = _gap(text, end)
        line += text.count("\n", place, following)
        place = following


def read_text(path: Path) -> str:
    """The whole file, without a byte order mark."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: cannot be read as UTF-8 text (byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from error
    if not text.strip():
        raise DataError(f"{path}:1: file is empty")
    return text


def read_lines(path: Path) -> list[str]:
    """Not splitlines, which also splits at characters that may stand inside of a message, such as U+2028."""
    lines = re.split(r"\r\n|\r|\n", read_text(path))
    return lines if lines[-1] else lines[:-1]
