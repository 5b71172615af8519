"""The parts that the lessons share. Importing it makes `import torchvision` work beside a CPU-only torch.

    objectives    reparameterize, KL divergence, likelihoods, -ELBO     01 02 03
    models        the networks                                          04
    training      fit and evaluate: one loop for every model            04
    latent        codes, paths, directions and grids                    04 05 06
    batching      whole image sets in memory, dealt out in batches      -
    data          named image sets, and what stands in for them         -
    plotting      figures on axes that are given                        -
    widgets       sliders beside a picture                              -
    flip_book     pictures to play or leaf through, without a kernel    -
    exercises     self-checks that say in words what is wrong           -
    learner       a network and its optimizer, kept together            -
    progress      a bar that leaves one line                            -
    checkpoints   weights and facts in one file                         -
    pretrained    the weights that come with the course                 -
    train         lesson 04 as a command                                -
    runtime       profile, seeds, device                                -
    files         writing so that nothing is half-written               -

    sources       where pictures come from                              -
    drawn_faces   faces drawn from known factors                        -
    assignment    what Assignment 4 needs beside the lessons            -
    variants      families beyond the plain VAE, and their measures     07 08 09 10 11 12

The numbers are the lessons that teach a module's functions.
"""

from course_utils.runtime import keep_freed_memory, mend_torchvision

mend_torchvision()
keep_freed_memory()
