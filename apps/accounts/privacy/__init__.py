"""What the shop holds of a person: handed out (`exporting.py`), and forgotten for good (`erasing.py`).

Every app that keeps something of people has a `Holder` (`holders.py`), and the composition root hands them over: this
app knows none of them. `account.py` is its own. `names.py` tells who is forgotten when something late comes in.
"""
