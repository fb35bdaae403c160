# /// program
# tries = "prints blank lines before and after its answer"
# testtype = "stdin"
# ///
print()
print(2 * int(input()) + 1)
print(" ")
print()
