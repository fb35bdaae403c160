# /// program
# tries = "returns an iterator of ever new lists that never ends"
# verdict = ["timeout", "output_limit", "runtime_error"]
# everywhere = true
# testtype = "code"
# time_limit = 0.5
# inputs = ["assert [part for part in solve(3)] == [[7]]"]
# ///
def solve(x):
    while True:
        yield [[7] * 100]
