"""What each stage minimises: every equation (losses, kl), and one objective a stage. Tensors only, never strings."""
