# Re-MP alone: the given masks are propagated, nothing is retrieved (DyeNet Tables 1 and 3, "Full").
# Run: dyenet experiment table1 --dataset davis2017 --root DAVIS --split val --out DIR
# Expected with the paper's training: G 69.1 on DAVIS 2017 val.
weights = "small"
requires = dict(type="DyeNet")
inference = dict(
    schedule="iterative",
    retrieval=dict(
        similarity_threshold=1.0, max_proposals=1, frame_step=1_000_000
    ),  # no proposal is looked at
    iterative=dict(max_rounds=1),
    verification=dict(min_share=None),
)
