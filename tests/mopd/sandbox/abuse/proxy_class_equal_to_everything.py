# /// program
# tries = "has a class under test that equals and contains everything"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["assert solve(3) == 7", "assert 7 in solve(3)", "assert solve(3) < 7"]
# ///
class solve:
    def __init__(self, x):
        pass

    def __eq__(self, other):
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
    __hash__ = None
