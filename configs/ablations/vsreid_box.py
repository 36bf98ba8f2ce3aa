# VS-ReID's RGB stream alone, from the box around the object (its Table 1, second row).
# Run: dyenet experiment vsreid-table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set vsreid_box.weights=FILE
# Expected with the paper's training: 55.5 on DAVIS 2017 test-dev.
_base_ = "vsreid_flow.py"
inference = dict(vsreid=dict(streams="rgb"))
