# /// program
# tries = "walks and changes objects whose class is the tests' own"
# testtype = "code"
# inputs = ["class Node:\n    def __init__(self, value, next=None):\n        self.value = value\n        self.next = next\nhead = solve(Node(1, Node(2, Node(3))))\nvalues = []\nwhile head:\n    values.append(head.value)\n    head = head.next\nassert values == [3, 2, 1]"]
# ///
def solve(head):
    before = None
    while head is not None:
        head.next, before, head = before, head, head.next
    return before
