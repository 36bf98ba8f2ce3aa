# What the debug configs share: small synthetic clips, a short training.
_base_ = "training.py"
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    dataset=dict(type="SyntheticClips", size=(64, 96), num_frames=3, num_scenes=8, length=1000),
)
precision = "float32"  # the same losses on every machine
max_iters = 30
log_interval = 1
optim_wrapper = dict(
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=1e-2),
    clip_grad=dict(max_norm=3.0),
    accumulative_counts=1,
)
