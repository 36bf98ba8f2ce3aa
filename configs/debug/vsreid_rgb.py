# The RGB stream of VS-ReID in miniature, on synthetic clips.
# Run: dyenet train debug/vsreid_rgb.py   (under a minute on two CPU cores; the loss falls below 0.8 of the first)
_base_ = ["../_base_/models/vsreid_tiny.py", "../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="PropagationTraining",
    network={{_base_.model}},
    init_from=None,
    streams="rgb",
    start_flow=None,
    guides=dict(source="same_frame", tps=0.1, dilation=2, max_per_clip=2),
)
optim_wrapper = dict(optimizer=dict(lr=1e-2))
