# VS-ReID with multi-scale testing (its Table 1, last row); the scales are ours, the paper names none.
# Run: dyenet experiment vsreid-table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set vsreid_multiscale.weights=FILE
# Expected with the paper's training: 66.1 on DAVIS 2017 test-dev.
_base_ = "vsreid_reid.py"
inference = dict(vsreid=dict(flip=True, scales=[0.75, 1.0, 1.25]))
