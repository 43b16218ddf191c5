"""The studio's interface, one small module per subject. None holds state: that lies in the `Studio` and on disk."""
