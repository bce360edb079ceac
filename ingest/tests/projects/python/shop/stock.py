"""What is on the shelves."""


class Stock:
    def __init__(self):
        self.items = {}

    def add(self, name, count=1):
        if count < 0:
            raise ValueError("a count is at least 0")
        self.items[name] = self.items.get(name, 0) + count

    def take(self, name):
        if not self.items.get(name):
            return None
        self.items[name] -= 1
        if self.items[name] == 0:
            del self.items[name]
        return name

    def names(self):
        found = []
        for name in sorted(self.items):
            if name.startswith("_"):
                continue
            found.append(name)
        return found


def never_called(stock):
    total = 0
    for count in stock.items.values():
        total += count
    return total
