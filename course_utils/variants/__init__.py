"""Families beyond the plain VAE, one module each with only what differs, and how their samples are measured.

    conditional      a condition told to encoder, decoder, or both          07
    judge            a classifier of digits, and what it sees in pictures   07 08 09 10 11
    measures         Fréchet distance, precision and recall, fine power     07 08 09 10 11 12
    two_samples      draws of the same distribution? a classifier and MMD   10
    hierarchical     two layers of latents, bottom-up and as a ladder       08
    layered_loss     their bound layer by layer, warm-up and free bits      08
    codebook         nearest code, straight-through, a living codebook      09
    quantized        the VQ-VAE and its loss                                09
    code_prior       masked convolutions: a prior over grids of codes       09
    adversarial      two players, and the loop that lets them play          10
    players          generator, critic, VAE-GAN, and what they minimise     10
    games            those that made lesson 10's weights                    -
    diffusion        noise into pictures or codes, step by step             11
    diffusion_bound  its variational bound, part by part                    11
    flow_matching    noise carried along a velocity                         11
    denoisers        networks that recognise noise, told the time           11
    averaging        a network with the moving average of its weights       -
    settled          the models whose weights lesson 11 compares            11
    reference        what the judge saw in MNIST's test images              11
    outlines         digits as the way of a pen around them                 12
    recurrent        a VAE that reads and draws outlines point by point     12

The numbers are the lessons that teach or use a module.
"""
