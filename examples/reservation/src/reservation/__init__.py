"""The reservation example: one folder per context and feature, one composition root."""
