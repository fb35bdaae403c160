# /// program
# tries = "returns a list of things that equal whatever they are compared with"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["assert [7] == solve(3)", "assert solve(3) == [7]", "assert sorted(solve(3)) == [7]"]
# ///
class Equal(int):
    def __eq__(self, other):
        return True

    __lt__ = __gt__ = __eq__

    def __hash__(self):
        return 7

    def __int__(self):
        return 7

    __index__ = __int__


class Answers(list):
    def __eq__(self, other):
        return True

    __hash__ = None


def solve(x):
    return Answers([Equal(0)])
