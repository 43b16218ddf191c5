"""One file per architecture; each adds its table to ARCHITECTURES."""
