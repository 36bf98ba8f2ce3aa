# The heads of `small` on an ImageNet ResNet-101 v2 that stays outside the project and is not trained.
# Run: python scripts/transfer_heads.py dyenet/weights/small.safetensors dyenet/r101v2_joint.py
#          work_dirs/r101v2_start.safetensors --dataset davis2016 --root DAVIS --split train
#      dyenet train dyenet/r101v2_joint.py [--set data_root=DATA] [--set model.network.trunk.weights=FILE]
# The 240 clips come round nearly four times; the trunk's maps of them (6 GB) are computed once.
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
    init_from="work_dirs/r101v2_start.safetensors",
    init_parts=None,
    num_identities="auto",
    loss_weight=2.0,
    reid_weight=0.3,
    rpn_weight=1.0,
    rois=dict(proposals=False, max_per_image=1, jitter=0.2),
    recurrence=dict(soft_targets=True, dice_weight=0.5, deform_start=False, rollout=3),
    cache="work_dirs/r101v2_maps",
)
train_dataloader = dict(
    batch_size=1, dataset=dict(length=240, weights=[0.5, 0.35, 0.1, 0.05], common=dict(num_frames=7))
)
optim_wrapper = dict(optimizer=dict(lr=4e-4))
inference = dict(
    max_size=854,  # it is slow anyhow, and thin parts show
    flow=dict(preset="finest"),
    # Its features are wider, and cosines between them lower.
    retrieval=dict(similarity_threshold=0.4, second_look=0.25),
    expansion=dict(threshold=0.45),
    linking=dict(margin=0.04),
    merging=dict(threshold=0.35),  # chosen on devval, too
)
