"""Faces drawn from known factors: the stand-in for CelebA, and the truth against which latent edits are measured."""
