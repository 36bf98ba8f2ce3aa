# The joint stage in miniature, on synthetic clips.
# Run: dyenet train debug/joint.py   (under a minute on two CPU cores; the loss falls below 0.8 of the first)
_base_ = ["../_base_/models/tiny.py", "../_base_/training.py"]
model = dict(
    _delete_=True,
    type="JointTraining",
    network={{_base_.model}},
    num_identities="auto",
    rpn_weight=1.0,
    rois=dict(max_per_image=4),
    recurrence=dict(dice_weight=0.5),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    dataset=dict(type="SyntheticClips", size=(64, 96), num_frames=3, num_scenes=8, length=1000),
)
max_iters = 30
log_interval = 1
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=2e-3, weight_decay=1e-2), clip_grad=dict(max_norm=3.0))
