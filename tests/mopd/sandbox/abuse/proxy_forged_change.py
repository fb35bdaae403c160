# /// program
# tries = "changes a list of the tests that it was never given"
# verdict = ["protocol_error", "wrong_answer"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["expected = [7]\ngiven = [3]\nassert solve(given) == expected and expected == [7]"]
# ///
def solve(x):
    given = question()["message"]["mirrors"][0][0]
    forged = [[given + 2 * n, "list", [], None] for n in range(1, 9)]
    answer(message={"value": {"m": given + 2}, "mirrors": forged})
