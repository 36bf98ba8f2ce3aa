# The paper's network and schedule (Sec. 3.3, "Training Details"): clips of 4 frames from 8 videos, SGD, 24k iterations,
# batch norms frozen. lambda = 1, the BCE alone, no RPN (r101_rpn.py trains it apart).
# Run: torchrun --nproc-per-node 8 -m dyenet train dyenet/r101_joint_davis.py --set data_root=DATA \
#          --set model.init_from=WEIGHTS     (batch_size is per process: 1 on 8 processes, 8 on one)
# Expected with the paper's data and ImageNet + VOC weights: J 0.847 on DAVIS 2016 val. Time: not measured.
_base_ = ["../_base_/models/r101.py", "../_base_/inference/paper.py", "../_base_/training.py"]
data_root = "data"
model = dict(
    _delete_=True,
    type="JointTraining",
    network={{_base_.model}},
    init_from="work_dirs/r101_segmentation/final.safetensors",
    init_parts=None,
    num_identities="auto",
    loss_weight=1.0,
    reid_weight=1.0,
    rpn_weight=0.0,
    rois=dict(proposals=True, max_per_image=16),
    recurrence=dict(dice_weight=0.0),
)
train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        type="VideoClips",
        root=f"{data_root}/davis2017",
        split="train",
        size=(480, 856),
        num_frames=4,
        length=1000000,
    ),
)
max_iters = 24000
optim_wrapper = dict(optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[8000, 16000], gamma=0.1)]
