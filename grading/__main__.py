"""`python -m grading` marks what was handed in."""

import sys

from grading.run import main

sys.exit(main())
