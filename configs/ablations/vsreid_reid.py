# VS-ReID with its re-identification module: Algorithms 1 to 3 (its Table 1, "+ re-id module").
# Run: dyenet experiment vsreid-table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set vsreid_reid.weights=FILE
# Expected with the paper's training: 65.2 on DAVIS 2017 test-dev.
_base_ = "vsreid_flow.py"
inference = dict(checkpointed=dict(max_rounds=None))
