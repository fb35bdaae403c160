# /// program
# tries = "is a class"
# testtype = "code"
# inputs = ["s = solve(3)\ns.add(4)\nassert s.total == 7 and len(s) == 2 and s == solve(3, 4) and s != solve(3)\nassert 4 in s and 5 not in s", "try:\n    solve(-1)\nexcept ValueError as error:\n    assert 'negative' in str(error)\nelse:\n    assert False"]
# ///
class solve:
    def __init__(self, *items):
        if any(item < 0 for item in items):
            raise ValueError("a negative item")
        self.items = list(items)

    def add(self, item):
        self.items.append(item)

    @property
    def total(self):
        return sum(self.items)

    def __len__(self):
        return len(self.items)

    def __contains__(self, item):
        return item in self.items

    def __eq__(self, other):
        return isinstance(other, solve) and self.items == other.items

    __hash__ = None
