# For a laptop: frames are worked on at 640 pixels (masks come out at the video's size).
inference = dict(
    schedule="iterative",
    max_size=640,
    retrieval=dict(similarity_threshold=0.5, max_proposals=12, frame_step=3),  # chosen on composites
    linking=dict(max_contradicting_fraction=0.5),  # the tube may be what is wrong; chosen on devval
    propagation=dict(
        starting_mask="probability",  # as in its training
        min_component_ratio=0.1,  # this and the next chosen on devval
        new_component_ratio=0.5,
        min_match=0.3,  # chosen on composites of training sequences, as is the next
    ),
    expansion=dict(threshold=0.85),
    lost=dict(margin=0.1),  # chosen on composites
    flow=dict(type="DISFlow", preset="medium"),
)
