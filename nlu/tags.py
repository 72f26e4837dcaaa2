"""Slots as BIO tags of a message's pieces, and back."""

from collections.abc import Sequence

from nlu.data import Example
from nlu.pieces import Batch


def tag_rows(examples: Sequence[Example], batch: Batch, tags: Sequence[str]) -> list[list[int]]:
    """BIO tag numbers of the message pieces, padded with O."""
    number = {tag: i for i, tag in enumerate(tags)}
    longest = int(batch.lengths.max())
    rows = []
    for example, offsets in zip(examples, batch.offsets, strict=True):
        row = [0] * longest
        for span in example.spans or ():
            inside = [i for i, (start, end) in enumerate(offsets) if start < span.end and end > span.start]
            for nth, place in enumerate(inside):
                row[place] = number[f"{'I' if nth else 'B'}-{span.slot}"]
        rows.append(row)
    return rows


def spans_of_path(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """BIO tags → (slot, first piece, last piece); an I- without its B- opens a span."""
    spans: list[tuple[str, int, int]] = []
    previous = "O"
    for place, tag in enumerate(tags):
        if tag != "O":
            goes_on = tag[0] == "I" and previous[2:] == tag[2:]
            if goes_on:
                spans[-1] = (spans[-1][0], spans[-1][1], place)
            else:
                spans.append((tag[2:], place, place))
        previous = tag
    return spans
