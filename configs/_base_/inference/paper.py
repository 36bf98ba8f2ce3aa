# The papers' letter where speed is no concern: M = 100 proposals on every frame, no bound on tracklets.
inference = dict(
    schedule="iterative",
    retrieval=dict(per_frame="every", similarity_threshold=0.7, max_proposals=100, frame_step=1),
    propagation=dict(max_passes=1000, stop_on_meeting=False),
)
