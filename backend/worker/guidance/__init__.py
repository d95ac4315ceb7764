"""One noisy latent to rows for the network, and their answers to one denoised latent."""
