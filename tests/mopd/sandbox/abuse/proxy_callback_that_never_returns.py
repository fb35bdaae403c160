# /// program
# tries = "gives the tests a function that never returns"
# verdict = ["timeout"]
# everywhere = true
# testtype = "code"
# time_limit = 0.5
# inputs = ["assert solve(3)(1) == 7"]
# ///
def solve(x):
    def spin(y):
        while True:
            pass

    return spin
