# /// program
# tries = "says to its tests a message without anything in it"
# verdict = ["protocol_error", "wrong_answer"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={})
