# Online fine-tuning in miniature.
# Run: dyenet finetune debug/finetune.py --set train_dataloader.dataset.root=DAVIS   (under a minute on two CPU
# cores; L_mask + L_remp falls below 0.9 of the first)
_base_ = ["../_base_/models/tiny.py", "../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="JointTraining",
    network={{_base_.model}},
    init_from=None,
    num_identities="auto",
    rpn_weight=1.0,
    rois=dict(proposals=False, max_per_image=4),
    recurrence=dict(dice_weight=0.5),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        _delete_=True,
        type="FirstFrameClips",
        root="data/davis2017",
        split="val",
        size=(64, 96),
        num_frames=3,
        length=1000,
    ),
)
video_iters = 10
