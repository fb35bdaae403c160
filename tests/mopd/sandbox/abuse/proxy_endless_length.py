# /// program
# tries = "returns an object that is endless in whatever way it is read"
# verdict = ["wrong_answer", "runtime_error", "timeout"]
# everywhere = true
# testtype = "code"
# time_limit = 0.5
# inputs = ["assert [solve(3)[n] for n in range(3)] == [7, 7, 8]", "assert list(solve(3)) == [7]"]
# ///
class Endless:
    def __getitem__(self, place):
        return 7

    def __len__(self):
        return 1 << 62


def solve(x):
    return Endless()
