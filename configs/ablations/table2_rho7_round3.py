# DyeNet Table 2: rho_reid = 0.7, at most 3 rounds.
# Run: dyenet experiment table2 --dataset davis2017 --root DAVIS --split val --out DIR
# Expected with the paper's training: G 74.1 on DAVIS 2017 val.
_base_ = "dyenet.py"
inference = dict(
    schedule="iterative",
    retrieval=dict(similarity_threshold=0.7, frame_step=1),  # recall counts every frame
    iterative=dict(max_rounds=3),
)
