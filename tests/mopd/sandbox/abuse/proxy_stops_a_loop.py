# /// program
# tries = "ends a loop of the tests by StopIteration from wherever it can"
# verdict = ["runtime_error", "wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["assert all(solve(x).value == 7 for x in range(3)) and list(map(solve, [1])) == [7]"]
# ///
class Ends:
    def __getattr__(self, name):
        raise StopIteration

    def __iter__(self):
        raise StopIteration


def solve(x):
    return Ends()
