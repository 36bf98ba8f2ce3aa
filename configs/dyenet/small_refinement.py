# `small` on from dyenet/small_rollout.py: the refinement of masks, with Re-MP at a lower rate. What
# finds and compares objects is kept. Not in the papers.
# Run: dyenet train dyenet/small_refinement.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
_base_ = "small_rollout.py"
model = dict(
    init_from="work_dirs/small_rollout/final.safetensors",
    freeze=["trunk", "rpn", "reid_head", "pixel_matching"],
    reid_weight=0.0,
    rpn_weight=0.0,
)
train_dataloader = dict(dataset=dict(common=dict(size=(288, 448))))  # what is thin shows
max_iters = 1400
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys={"network.propagation_head": dict(lr_mult=0.25)}),
)
