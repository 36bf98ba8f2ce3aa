# DyeNet Table 2: rho_reid = 0.8, at most 3 rounds.
# Run: dyenet experiment table2 --dataset davis2017 --root DAVIS --split val --out DIR
# Expected with the paper's training: G 73.7 on DAVIS 2017 val.
_base_ = "table2_rho7_round3.py"
inference = dict(retrieval=dict(similarity_threshold=0.8))
