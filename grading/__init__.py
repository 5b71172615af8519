"""The instructor's side of the assignment; students never import it."""
