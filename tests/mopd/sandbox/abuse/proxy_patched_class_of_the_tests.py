# /// program
# tries = "changes the methods of a class that belongs to the tests"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["class Answer:\n    def __init__(self, value):\n        self.value = value\n    def right(self):\n        return self.value == 7\nanswer = Answer(3)\nsolve(answer)\nassert Answer(3).right()"]
# ///
def solve(x):
    for change in (
        lambda: setattr(type(x), "right", lambda self: True),
        lambda: setattr(x.__class__, "right", lambda self: True),
        lambda: setattr(x.right, "__code__", (lambda self: True).__code__),
        lambda: delattr(type(x), "right"),
    ):
        try:
            change()
        except (AttributeError, TypeError):
            continue
