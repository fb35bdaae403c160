# /// program
# tries = "says to its tests a value nested a hundred thousand deep"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
NESTED = None
for _ in range(400):
    NESTED = {"t": [NESTED]}


def solve(x):
    answer(message={"value": NESTED})
