# /// program
# tries = "says to its tests a container that nobody knows"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"value": {"m": 9998}})
