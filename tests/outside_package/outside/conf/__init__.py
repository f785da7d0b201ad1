"""Choices that `hydra.searchpath=[pkg://outside.conf]` adds."""
