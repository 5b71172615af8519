"""What the Makefile runs: the set-up, the lessons' runner and the notebooks' normal form."""
