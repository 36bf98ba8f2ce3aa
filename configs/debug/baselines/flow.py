# VS-ReID's flow stream in miniature; it begins as a copy of the RGB stream.
# Run: dyenet train debug/baselines/flow.py   (seconds on two CPU cores)
_base_ = ["../../_base_/models/vsreid_tiny.py", "../../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="PropagationTraining",
    network={{_base_.model}},
    init_from=None,
    streams="flow",
    start_flow="rgb_mean",
    guides=dict(source="previous_frame"),
)
