# /// program
# tries = "calls a function of the tests for ever"
# verdict = ["timeout"]
# everywhere = true
# testtype = "code"
# time_limit = 0.5
# inputs = ["assert solve(lambda x: x) == 7"]
# ///
def solve(x):
    while True:
        x(1)
