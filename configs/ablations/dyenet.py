# All of DyeNet (Table 3, "+ Re-ID"): retrieval and template expansion as stored with the weights.
# Run: dyenet experiment table3 --dataset davis2017 --root DAVIS --split val --out DIR
# Expected with the paper's training: G 74.1 on DAVIS 2017 val, 68.2 on test-dev after online training.
weights = "small"
