"""Weights and data sets, put to the Hugging Face Hub and brought from there."""
