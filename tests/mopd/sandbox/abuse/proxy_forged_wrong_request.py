# /// program
# tries = "says to its tests a request for what tests never do"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"op": "find", "on": {"y": 2}, "name": "eval", "args": []})
