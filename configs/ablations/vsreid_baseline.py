# VS-ReID's baseline: MSK on the whole frame (its Table 1, first row).
# Run: dyenet experiment vsreid-table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set vsreid_baseline.weights=FILE
# Expected with the paper's training: 51.7 on DAVIS 2017 test-dev.
_base_ = "vsreid_flow.py"
weights = "msk.safetensors"
requires = dict(_delete_=True, type="MSK")
