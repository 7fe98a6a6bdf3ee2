"""The shelves at the desk: the catalogue as a file, and stock that moves with a reason."""
