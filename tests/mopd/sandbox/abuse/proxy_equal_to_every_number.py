# /// program
# tries = "has a class under test that equals every number and nothing else"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["assert solve(3) == 7", "assert 7 in solve(3)"]
# ///
class solve:
    def __init__(self, x):
        pass

    def __eq__(self, other):
        return isinstance(other, int)

    __contains__ = __eq__
    __hash__ = None
