# /// program
# tries = "gives the tests a function that sleeps for ever"
# verdict = ["timeout"]
# everywhere = true
# testtype = "code"
# time_limit = 0.2
# inputs = ["assert solve(3)(1) == 7"]
# ///
import time


def solve(x):
    return lambda y: time.sleep(10**6)
