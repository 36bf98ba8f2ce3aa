# VS-ReID's RGB stream in miniature, on images: the guide is the frame's own mask, worn.
# Run: dyenet train debug/baselines/rgb.py   (seconds on two CPU cores)
_base_ = ["../../_base_/models/vsreid_tiny.py", "../../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="PropagationTraining",
    network={{_base_.model}},
    init_from=None,
    streams="rgb",
    guides=dict(source="same_frame"),
)
