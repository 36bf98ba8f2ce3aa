"""dyenet: semi-supervised video object segmentation with re-identification and mask propagation."""

__version__ = "0.1.0"
