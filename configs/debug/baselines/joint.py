# VS-ReID's two streams in miniature, trained through their fusion.
# Run: dyenet train debug/baselines/joint.py   (seconds on two CPU cores)
_base_ = ["../../_base_/models/vsreid_tiny.py", "../../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="PropagationTraining",
    network={{_base_.model}},
    init_from=None,
    streams="joint",
    guides=dict(source="previous_frame"),
)
