"""The instructor's side of the assignment; students never import it."""

import sys

# jsonschema checks internationalised addresses with it where it is installed; no notebook has one, and it takes each
# process 1.6 s to import.
sys.modules.setdefault("rfc3987_syntax", None)
