# For a laptop: frames are worked on at 640 pixels, up to twice that where objects are small (masks come out at the
# video's size).
inference = dict(
    schedule="iterative",
    max_size=640,
    max_zoom=2.0,
    retrieval=dict(  # chosen on composites
        similarity_threshold=0.65,
        max_proposals=12,
        matched_boxes=3,
        second_look=0.4,
        frame_step=3,
        embedding="pooled",
    ),
    propagation=dict(
        starting_mask="probability",  # as in its training
        min_component_ratio=0.1,  # this and the next two chosen on devval
        new_component_ratio=0.5,
        recent_step=10,
        competition=True,
        displacement_margin=0.1,  # chosen on composites of training sequences
    ),
    expansion=dict(threshold=0.6),  # this and the next chosen on composites of training sequences
    verification=dict(min_share=0.6),
    # The tube may be what is wrong; chosen on devval, the next on composites of training sequences too, the last on
    # training sequences.
    linking=dict(max_contradicting_fraction=0.5, shared_frames="similar", margin=0.08),
    merging=dict(threshold=0.4),  # chosen on devval: IoU wants what is doubtful
    flow=dict(type="DISFlow", preset="medium"),
    flow_memory_mb=256,  # as many flows of the largest frames as 64 of the others
)
