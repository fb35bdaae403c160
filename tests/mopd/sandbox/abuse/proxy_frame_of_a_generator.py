# /// program
# tries = "reads the frame of a generator that it was given"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["def count(expected):\n    yield 1\n    yield 2\nassert solve(count(7)) == 7"]
# ///
def solve(x):
    next(x)
    try:
        return x.gi_frame.f_locals["expected"]
    except AttributeError:
        return -1
