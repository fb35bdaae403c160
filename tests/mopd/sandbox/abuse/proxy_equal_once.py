# /// program
# tries = "has a class under test that equals whatever it is compared with first"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["assert solve(3) == 7"]
# ///
class solve:
    def __init__(self, x):
        self.asked = 0

    def __eq__(self, other):
        self.asked += 1
        return self.asked == 1

    __hash__ = None
