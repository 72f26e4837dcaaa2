"""Numbers and sums of money, as people type them."""

import re
from dataclasses import dataclass
from decimal import Decimal

UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS = {
    **{word: Decimal(n) for n, word in enumerate((*UNITS, *TEENS, "nineteen"))},
    **{word: Decimal(10 * n) for n, word in enumerate(TENS, 2)},
    "single": Decimal(1),
    "couple": Decimal(2),
    "pair": Decimal(2),
    "half": Decimal("0.5"),
}
SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6}
SCALES |= {"k": 1000, "grand": 1000, "m": 10**6}
GLUE = ("a", "an", "and", "of")
SIGNS = {"$": ("dollar", "dollars", "buck", "bucks", "usd"), "c": ("cent", "cents", "¢")}
SIGNS["-"] = ("us", "about", "around", "roughly", "exactly", "just", "only", "maybe", "please")


@dataclass
class _Number:
    """A number under way."""

    thousands: Decimal = Decimal(0)
    rest: Decimal = Decimal(0)
    ends_in_digits: bool = False

    @property
    def value(self) -> Decimal:
        return self.thousands + self.rest

    def takes(self, value: Decimal, digits: bool) -> bool:
        """Whether `value` goes on with it: "two hundred | fifty"; not "three | fifty", "20 | 50"."""
        room = (self.rest or self.value) % 10 ** len(str(int(value)))
        return not (digits and self.ends_in_digits) and (room == 0 or value < 1)

    def add(self, value: Decimal, digits: bool) -> None:
        self.rest, self.ends_in_digits = self.rest + value, digits

    def scale(self, factor: int) -> None:
        self.rest, self.ends_in_digits = (self.rest or Decimal(1)) * factor, False
        if factor >= 1000:
            self.thousands, self.rest = self.value, Decimal(0)


def read_numbers(text: str) -> list[Decimal | str]:
    """Numbers and the words between them: "two hundred and fifty of them" → 250, "them"."""
    found: list[Decimal | str] = []
    number: _Number | None = None
    joined = re.sub(r"(?<![\d.,])(\d{1,3}) (?=\d{3}(?!\d))", r"\1", text.lower())
    for token in re.findall(r"\d[\d,.]*|\.\d+|[a-z]+|¢", joined):
        value = WORDS.get(token, _digits_value(token))
        if value is not None:
            if number and not number.takes(value, token not in WORDS):
                found.append(number.value)
                number = None
            number = number or _Number()
            number.add(value, token not in WORDS)
        elif token in SCALES and (number or token not in ("k", "m")):
            number = number or _Number()
            number.scale(SCALES[token])
        elif token not in GLUE:
            found += [number.value, token] if number else [token]
            number = None
    return [*found, number.value] if number else found


def _digits_value(token: str) -> Decimal | None:
    """ "1,250.50", ".5", "12,50"; None for other mixtures of points and commas."""
    bare = token.rstrip(".,")
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?|\d+(\.\d+)?|\.\d+", bare):
        return Decimal(bare.replace(",", ""))
    return Decimal(bare.replace(",", ".")) if re.fullmatch(r"\d+,\d{1,2}", bare) else None


def read_amount(text: str) -> Decimal | None:
    """ "$1,250.50", "1.5k", "20 dollars and 50 cents", "nineteen ninety nine"; None for what is not clear."""
    items = read_numbers(text)
    numbers = [item for item in items if isinstance(item, Decimal)]
    signs = {word: sign for sign, words in SIGNS.items() for word in words}
    shape = "".join("#" if isinstance(i, Decimal) else signs.get(i, "?") for i in items).replace("-", "")
    spelled = not re.search(r"\d", text)
    if spelled and "?" in shape:
        return None  # "one moment"
    match shape.strip("?").lstrip("$"):
        case "#" | "#$":
            return numbers[0]
        case "#c":
            return numbers[0] / 100
        case "#$#c" | "##c" | "#$#" if numbers[1] < 100:
            return numbers[0] + numbers[1] / 100
        case "##" if spelled and all(10 <= number < 100 for number in numbers):
            return numbers[0] + numbers[1] / 100
    return None
