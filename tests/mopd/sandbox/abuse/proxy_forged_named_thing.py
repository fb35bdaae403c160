# /// program
# tries = "says to its tests a function of the library by its name"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"value": {"g": "os:system"}})
