# /// program
# tries = "calls the functions that it is given"
# testtype = "code"
# inputs = ["seen = []\nassert solve(lambda x: seen.append(x) or 2 * x, [1, 2]) == [2, 4]\nassert seen == [1, 2]"]
# ///
def solve(function, items):
    return [function(item) for item in items]
