# The paper's network under the paper's inference: M = 100 proposals on every frame.
# Run: dyenet benchmark dyenet/r101_paper.py --dataset davis2017 --root DAVIS --split val --out DIR \
#          --set weights=WEIGHTS
# Expected with the paper's training: G 74.1 on DAVIS 2017 val (Table 2, rho_reid 0.7).
_base_ = ["../_base_/models/r101.py", "../_base_/inference/paper.py"]
