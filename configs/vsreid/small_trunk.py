# VS-ReID small, before the others: its trunk, of 59 GFLOP at 854x480 where that of DyeNet's `small` takes 25, is
# distilled in the same way.
# Run: dyenet train vsreid/small_trunk.py [--set data_root=DATA]. Time and result: docs/results.md.
_base_ = "../dyenet/small_distill.py"
model = dict(
    network=dict(trunk=dict(depths=(2, 3), width=160, dilations=(1, 2, 4, 1, 2, 4, 1, 2, 4, 2))),
)
max_iters = 2600
