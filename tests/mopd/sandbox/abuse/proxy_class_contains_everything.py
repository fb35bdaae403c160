# /// program
# tries = "has a class under test that contains everything"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["assert 7 in solve(3)"]
# ///
class solve:
    def __init__(self, x):
        pass

    def __contains__(self, item):
        return True
