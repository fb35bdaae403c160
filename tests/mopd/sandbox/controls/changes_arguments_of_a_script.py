# /// program
# tries = "changes its arguments in place, as asked"
# testtype = "code"
# inputs = ["a = [3, 1, 2]\nb = a\nassert solve(a) is None\nassert b == [1, 2, 3]"]
# ///
def solve(numbers):
    numbers.sort()
