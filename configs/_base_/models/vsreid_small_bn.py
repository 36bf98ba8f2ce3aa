# `vsreid_small` as it is trained: batch norm learns its statistics, which are frozen in the weights that come out.
_base_ = "vsreid_small.py"
model = dict(
    propagation=dict(norm="bn"),
    detector=dict(backbone=dict(norm="bn")),
    identification=dict(norm="bn"),
)
