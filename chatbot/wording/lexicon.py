"""Words by which a reply would state something: numbers, days, months; and those that begin a sentence."""

import re

WORD = re.compile(r"[^\W\d_]+")


def words_of(text: str) -> list[str]:
    return WORD.findall(text)


NUMBERS = frozenset(
    words_of("""
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
        sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
        hundred thousand million billion trillion dozen half halves third quarter couple pair twice
        thrice double triple fourth fifth sixth seventh eighth ninth tenth eleventh twelfth twentieth
        thirtieth hundredth ones twos threes fours fives sixes sevens eights nines tens twenties
        thirties hundreds thousands millions billions dozens quarters couples pairs zeros zeroes fourths
        fifths percent percentage dollar dollars cent cents euro euros pounds bucks grand
    """)
)
"""And what is counted in them."""
DAYS = frozenset(
    words_of("""
        january february april june july august september october november december jan feb apr jul aug
        sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mondays tuesdays
        wednesdays thursdays fridays saturdays sundays mon tue tues wed thu thur thurs fri noon midnight
        yesterday tomorrow tonight christmas easter thanksgiving
    """)
)
"""Without "may", "march", "sat" and "sun", which as a rule are something else."""
STATING = NUMBERS | DAYS | {"www", "http", "https"}
UNITS = frozenset(
    words_of("""
        second seconds minute minutes hour hours day days week weeks month months year years night nights
        overnight morning mornings afternoon afternoons evening evenings weekend weekends today daily weekly
        monthly yearly annual annually mile miles mph kilometer kilometers kph
    """)
)
"""May be asked for and wished; a statement with one often has a time or a unit that is not given."""
RATES = ("a", "an", "per", "each", "every")
"""Behind a fact they make a rate of it: "$5 a month"."""

OPENERS = frozenset(
    words_of("""
        a about absolutely account after all alright also although an and another any anything apologies
        are as at awesome because before both but by can certainly checking could did do does done
        during each either enjoy everything excellent feel fine first for from further glad good goodbye
        got gotcha great happy has have hello here hey hi how however if in is it its just kindly last
        let like looking lovely many may maybe meanwhile might more most my nice no none nor not noted
        nothing now of oh ok okay on once only or other otherwise our perfect please pleasure right same
        say shall should since so some sorry sounds speaking still sure surely take tell thank thanks
        that the their then there these they this those thus to too together understood unfortunately
        until very was we welcome well were what whatever when where whether which while who whose why
        will with would yep yes yet you your
        yeah yup bye hope looks see need want perhaps try till correct confirming booking playing reservation
        reserving congratulations sadly unfortunately again actually anytime starting adding found sending
        transferring confirmed booked added
    """)
)
"""Words with a capital that are no names where a sentence begins. A business's own words come from `say`."""
