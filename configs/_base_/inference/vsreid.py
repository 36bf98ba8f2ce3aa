# VS-ReID's schedule (Algorithm 3) with the paper's readings; no multi-scale testing.
inference = dict(
    schedule="checkpointed",
    checkpointed=dict(algorithm="paper", similarity_threshold=0.5, occlusion_iou=0.3),
    vsreid=dict(warp="bilinear", recovery_flow="next"),
)
