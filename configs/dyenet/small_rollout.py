# All of `small` on from dyenet/small_reid.py: Re-MP also starts from its own masks of up to 7 steps, errors and all.
# Not in the papers.
# Run: dyenet train dyenet/small_rollout.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
_base_ = "small_joint.py"
model = dict(
    init_from="work_dirs/small_reid/final.safetensors",
    rois=dict(jitter=0.2),
    recurrence=dict(rollout=7, deform_start=False),
)
train_dataloader = dict(
    batch_size=1, dataset=dict(weights=[0.5, 0.35, 0.05, 0.1], common=dict(num_frames=12))
)
max_iters = 2200
optim_wrapper = dict(
    optimizer=dict(lr=4e-4), paramwise_cfg=dict(custom_keys={"network.trunk": dict(lr_mult=0.5)})
)
