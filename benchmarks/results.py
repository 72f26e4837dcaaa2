"""Rows of a long benchmark: each is kept as soon as it is there, and not measured again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Cell = tuple[Any, ...]


class Results:
    def __init__(self, path: Path, keys: tuple[str, ...], cells: Sequence[Cell]) -> None:
        """`cells` is all that could be measured, each with a value for every one of `keys`."""
        self.path, self.keys, self.cells = path, keys, cells
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            self.rows = json.loads(path.read_text(encoding="utf-8"))["results"]

    def missing(self) -> list[Cell]:
        known = {tuple(row[key] for key in self.keys) for row in self.rows}
        return [cell for cell in self.cells if cell not in known]

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row and print it; the file has a line for each."""
        rounded = {key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()}
        self.rows.append(rounded)
        print(json.dumps(rounded), flush=True)
        missing = [" ".join(map(str, cell)) for cell in self.missing()]
        lines = ",\n  ".join(json.dumps(row) for row in self.rows)
        self.path.write_text(
            f'{{"not_measured": {json.dumps(missing)},\n "results": [\n  {lines}\n]}}\n', encoding="utf-8"
        )
