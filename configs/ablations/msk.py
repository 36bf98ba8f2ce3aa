# MSK re-implemented (DyeNet Tables 1 and 3): the whole frame and the previous mask, no Re-ID.
# Run: dyenet experiment table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set msk.weights=FILE
# Expected with the paper's training: G 65.3 on DAVIS 2017 val.
_base_ = "remp.py"
weights = "msk.safetensors"
requires = dict(_delete_=True, type="MSK")
