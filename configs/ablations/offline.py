# DyeNet without online training (Table 3, last row; Table 5).
# Run: dyenet experiment table5 --dataset davis2017 --root DAVIS --split val --out DIR
# Expected with the paper's training: J 84.7 on DAVIS 2016 val.
_base_ = "dyenet.py"
