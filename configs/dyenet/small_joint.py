# All of `small` trained jointly, end to end, from dyenet/small_heads.py.
# Run: dyenet train dyenet/small_joint.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
_base_ = [
    "../_base_/models/small.py",
    "../_base_/inference/laptop.py",
    "../_base_/datasets/small_mix.py",
    "../_base_/schedules/small.py",
    "../_base_/training.py",
]
model = dict(
    _delete_=True,
    type="JointTraining",
    network={{_base_.model}},
    init_from="work_dirs/small_heads/final.safetensors",
    init_parts=None,
    num_identities="auto",
    loss_weight=2.0,
    reid_weight=0.3,
    rpn_weight=1.0,
    rois=dict(proposals=False, max_per_image=1),
    recurrence=dict(soft_targets=True, dice_weight=0.5),
)
optim_wrapper = dict(
    optimizer=dict(lr=6e-4), paramwise_cfg=dict(custom_keys={"network.trunk": dict(lr_mult=0.3)})
)
