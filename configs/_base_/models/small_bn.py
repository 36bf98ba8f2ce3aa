# `small` as it is pre-trained: batch norm learns its statistics, which are frozen in the weights that come out.
_base_ = "small.py"
model = dict(trunk=dict(norm="bn"))
