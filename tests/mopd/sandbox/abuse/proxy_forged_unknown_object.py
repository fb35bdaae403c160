# /// program
# tries = "says to its tests a value that the tests never gave"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"value": {"y": 9998}})
