# /// program
# tries = "has a class under test that is smaller and larger than everything"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["assert 6 < solve(3) < 8"]
# ///
class solve:
    def __init__(self, x):
        pass

    def __lt__(self, other):
        return True

    __le__ = __gt__ = __ge__ = __lt__
