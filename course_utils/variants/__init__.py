"""Families beyond the plain VAE, one module each with only what differs, and how their samples are measured.

    judge         a classifier of digits, and what it sees in pictures  07 08 09
    measures      Fréchet distance, precision and recall, fine power    07 08 09
    adversarial   two players, and the loop that lets them play         -

The numbers are the lessons that teach or use a module.
"""
