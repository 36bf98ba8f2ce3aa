# VS-ReID's first pass: everything propagated from the given masks, nothing retrieved (its Table 1, "+ flow-stream").
# Run: dyenet experiment vsreid-table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set vsreid_flow.weights=FILE
# Without weights of its two-stream network, DyeNet's heads under VS-ReID's schedule stand in for it.
# Expected with the paper's training: 58.4 on DAVIS 2017 test-dev.
weights = "small"
inference = dict(schedule="checkpointed", checkpointed=dict(algorithm="paper", max_rounds=0))
