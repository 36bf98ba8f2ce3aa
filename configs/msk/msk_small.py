# MSK small: the distilled trunk and the data of `small`, guided by the worn mask of the frame before.
# Run: dyenet train msk/msk_small.py [--set data_root=DATA]   (after dyenet/small_distill.py)
# Time and result: docs/results.md.
_base_ = [
    "../_base_/models/msk_small.py",
    "../_base_/inference/propagation_only.py",
    "../_base_/datasets/small_mix.py",
    "../_base_/schedules/small.py",
    "../_base_/training.py",
]
inference = dict(max_size=640)
model = dict(
    _delete_=True,
    type="MSKTraining",
    network={{_base_.model}},
    init_from="work_dirs/small_distill/final.safetensors",
    init_parts={"stream.backbone.trunk": "trunk"},
    guides=dict(source="previous_frame", tps=0.1, dilation=3, max_per_clip=2),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"trunk": dict(lr_mult=0.3)}))
