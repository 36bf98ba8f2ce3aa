# VS-ReID small, 1 of 6: the RGB stream on photos, guided by their own worn masks (Sec. 3.4, pre-training).
# All its networks but the flow stream, which is a copy of the RGB stream, begin with the distilled trunk.
# Run: dyenet train vsreid/small_images.py [--set data_root=DATA]   (after small_trunk)
# Then small_rgb, small_flow, small_streams, small_detector, small_identification; the last one's weights are whole.
# Time and result: docs/results.md.
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
    init_from="work_dirs/small_trunk/final.safetensors",
    init_parts={
        "propagation.rgb.backbone.trunk": "trunk",
        "detector.model.backbone.trunk": "trunk",
        "identification.trunk": "trunk",
    },
    streams="rgb",
    start_flow=None,
    guides=dict(source="same_frame", tps=0.1, dilation=3, max_per_clip=4),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"trunk": dict(lr_mult=0.3)}))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ImageClips",
        roots={{_base_.photos}},
        size=(224, 352),
        num_frames=2,
        length=1000000,
    ),
)
