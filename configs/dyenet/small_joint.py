# `small` trained jointly from random weights, in about an hour on two CPU cores.
# Run: dyenet train dyenet/small_joint.py [--set data_root=DATA]
_base_ = [
    "../_base_/models/small_bn.py",
    "../_base_/inference/laptop.py",
    "../_base_/datasets/small_mix.py",
    "../_base_/schedules/small.py",
    "../_base_/training.py",
]
model = dict(
    _delete_=True,
    type="JointTraining",
    network={{_base_.model}},
    init_from=None,  # the weights of the stage before, such as work_dirs/small_distill/final.safetensors
    num_identities="auto",
    loss_weight=2.0,
    reid_weight=0.3,
    rpn_weight=1.0,
    rois=dict(proposals=False, max_per_image=3),
    recurrence=dict(dice_weight=0.5),
)
