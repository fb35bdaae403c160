# /// program
# tries = "writes another input over the file that /dev/stdin leads to"
# verdict = ["runtime_error"]
# testtype = "stdin"
# ///
import os

for path in ("/input/stdin", "/dev/stdin"):
    try:
        os.unlink(path)
    except OSError as error:
        print(type(error).__name__)
with open("/input/stdin", "w") as file:
    file.write("1")
