"""Words about what is on the shelves."""


def plural(count, word):
    if count == 1:
        return f"{count} {word}"
    elif word.endswith("s"):
        return f"{count} {word}es"
    return f"{count} {word}s"


def sign(number): return "-" if number < 0 else "+"


def unused():  # pragma: no cover
    return 1
