# The paper's heads on an ImageNet ResNet-101 v2 that stays outside the project and is not trained.
# Run: dyenet train dyenet/r101v2_joint.py [--set data_root=DATA] [--set model.network.trunk.weights=FILE]
# For a GPU. Time and result: not measured.
_base_ = [
    "../_base_/models/r101v2.py",
    "../_base_/inference/laptop.py",
    "../_base_/datasets/small_mix.py",
    "../_base_/schedules/small.py",
    "../_base_/training.py",
]
model = dict(
    _delete_=True,
    type="JointTraining",
    network={{_base_.model}},
    init_from=None,
    num_identities="auto",
    loss_weight=2.0,
    reid_weight=0.3,
    rpn_weight=1.0,
    rois=dict(max_per_image=8),
    recurrence=dict(dice_weight=0.5),
)
