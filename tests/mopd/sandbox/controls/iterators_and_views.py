# /// program
# tries = "returns what is no plain data"
# testtype = "code"
# inputs = ["got = solve(3)\nassert next(got) == 7\nassert list(got) == [8]", "assert list(solve(10)) == [21, 22]"]
# ///
def solve(x):
    return map(int, [2 * x + 1, 2 * x + 2])
