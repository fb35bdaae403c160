# /// program
# tries = "says to its tests a request for an attribute of a text of its own"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"op": "get", "on": "{0.__globals__}", "name": "format", "args": []})
