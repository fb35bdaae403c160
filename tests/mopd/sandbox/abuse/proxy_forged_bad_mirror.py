# /// program
# tries = "says to its tests contents for a container that is none"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"value": None, "mirrors": [[4, "eval", [], None]]})
