# /// program
# tries = "uses what judges import before a program"
# testtype = "functional"
# ///
# ruff: noqa: F821
class Solution:
    def solve(self, x: int) -> int:
        assert ascii_lowercase and maxsize > x and datetime.date(2020, 1, 1) and bisect.bisect_left([1], 1) == 0
        return int(statistics.mean([x, x])) + itemgetter(0)([x]) + gcd(3, 2) + len(StringIO("").read())
