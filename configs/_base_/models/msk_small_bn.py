# `msk_small` as it is trained: batch norm learns its statistics, which are frozen in the weights that come out.
_base_ = "msk_small.py"
model = dict(norm="bn")
