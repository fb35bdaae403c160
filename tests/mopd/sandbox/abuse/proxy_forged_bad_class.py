# /// program
# tries = "says to its tests a class with special methods of its own choice"
# verdict = ["protocol_error"]
# everywhere = true
# testtype = "code"
# prelude = "forge"
# inputs = ["assert solve(object()) == 7"]
# ///
def solve(x):
    answer(message={"value": None, "classes": [[1, "program", "X", [], ["__getattribute__", "__class__"], True]]})
