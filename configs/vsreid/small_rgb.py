# VS-ReID small, 2 of 6: the RGB stream on video, guided by the worn mask of the frame before, carried by the flow.
# Run: dyenet train vsreid/small_rgb.py [--set data_root=DATA]   (after small_images). Time and result: docs/results.md.
_base_ = [
    "../_base_/models/vsreid_small.py",
    "../_base_/inference/vsreid.py",
    "../_base_/datasets/small_mix.py",
    "../_base_/schedules/small.py",
    "../_base_/training.py",
]
inference = dict(max_size=640)
model = dict(
    _delete_=True,
    type="PropagationTraining",
    network={{_base_.model}},
    init_from="work_dirs/small_images/final.safetensors",
    streams="rgb",
    start_flow=None,
    guides=dict(source="previous_frame", tps=0.1, dilation=3, max_per_clip=4),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"trunk": dict(lr_mult=0.3)}))
