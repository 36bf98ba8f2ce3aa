# For a laptop: frames are worked on at 854 pixels, the width of 480p (masks come out at the video's size).
inference = dict(
    schedule="iterative",
    max_size=854,
    retrieval=dict(similarity_threshold=0.5, max_proposals=12, frame_step=3),  # chosen on composites
    linking=dict(max_contradicting_fraction=0.5),  # the tube may be what is wrong; chosen on devval
    propagation=dict(starting_mask="probability"),  # as in its training
    lost=dict(margin=0.1),  # chosen on composites
    flow=dict(type="DISFlow", preset="medium"),
)
