# MSK small: the size of one small VS-ReID stream, on the same data, guided by the worn mask of the frame before.
# Run: dyenet train msk/msk_small.py [--set data_root=DATA]
# Time and result: docs/results.md.
_base_ = [
    "../_base_/models/msk_small_bn.py",
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
    init_from=None,
    guides=dict(source="previous_frame", tps=0.1, dilation=3, max_per_clip=2),
)
