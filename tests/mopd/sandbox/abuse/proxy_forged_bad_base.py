# /// program
# tries = "says to its tests a class with a base that is none"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"value": None, "classes": [[1, "program", "X", ["type"], [], True]]})
