# VS-ReID with multi-scale testing (its Table 1, last row).
# Run: dyenet experiment vsreid-table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set vsreid_multiscale.weights=FILE
# Expected with the paper's training: 66.1 on DAVIS 2017 test-dev.
_base_ = "vsreid_reid.py"
weights = "vsreid"
