"""Where pictures come from: one module for each form in which a data set lies on disk, and the stand-ins."""
