# /// program
# tries = "reads and prints integers of thousands of digits"
# testtype = "stdin"
# cases = "[('9' * 6000, '1' + '9' * 6000), ('4' * 10000, '8' * 9999 + '9')]"
# ///
print(2 * int(input()) + 1)
