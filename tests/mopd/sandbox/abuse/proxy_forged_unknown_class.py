# /// program
# tries = "says to its tests an object of a class that nobody knows"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"value": {"p": [9997, 9999, None]}})
