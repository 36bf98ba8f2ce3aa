# For a laptop: frames are worked on at 640 pixels (masks come out at the video's size).
inference = dict(
    schedule="iterative",
    max_size=640,
    retrieval=dict(similarity_threshold=0.5, max_proposals=12, frame_step=3),  # chosen on composites
    linking=dict(max_contradicting_fraction=0.5),  # the tube may be what is wrong; chosen on devval
    flow=dict(type="DISFlow", preset="medium"),
)
