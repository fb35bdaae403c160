# /// program
# tries = "changes the list that it is compared with"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["expected = [7]\nassert solve(3) == expected\nassert expected == [7]"]
# ///
class solve:
    def __init__(self, x):
        pass

    def __eq__(self, other):
        other.clear()
        return other == []

    __hash__ = None
