# /// program
# tries = "returns an object that a set of the right answers should hold"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["assert solve(3) in {7}", "assert {7: 1}.get(solve(3)) == 1"]
# ///
class Lost:
    def __hash__(self):
        return hash(7)

    def __eq__(self, other):
        return True


def solve(x):
    return Lost()
