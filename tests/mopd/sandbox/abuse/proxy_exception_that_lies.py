# /// program
# tries = "raises an exception that claims to be of every class"
# verdict = ["runtime_error"]
# everywhere = true
# testtype = "code"
# inputs = ["try:\n    got = solve(3)\nexcept KeyError:\n    got = 7\nassert got == 7"]
# ///
class Any(BaseException):
    @property
    def __class__(self):
        return KeyError

    def __eq__(self, other):
        return True

    __hash__ = None


def solve(x):
    raise Any()
