# /// program
# tries = "returns an iterator that never ends"
# verdict = ["timeout"]
# everywhere = true
# testtype = "code"
# time_limit = 0.5
# inputs = ["assert list(solve(3)) == [7]"]
# ///
def solve(x):
    while True:
        yield 7
