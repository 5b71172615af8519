"""Families beyond the plain VAE, one module each with only what differs, and how their samples are measured.

judge         a classifier of digits, and what it sees in pictures  07 08 09
measures      Fréchet distance, precision and recall, fine power    07 08 09
"""
