# /// program
# tries = "calls a function of the tests that calls it again, without end"
# verdict = ["runtime_error", "timeout", "crashed"]
# everywhere = true
# testtype = "code"
# time_limit = 1.0
# inputs = ["def back(x):\n    return solve(back)\nassert solve(back) == 7"]
# ///
def solve(x):
    return x(solve)
