# On the foreign trunk, on from dyenet/r101v2_joint.py: larger frames, each clip seen once. What finds
# and compares objects is kept.
# Run: dyenet train dyenet/r101v2_refinement.py [--set data_root=DATA] [--set model.network.trunk.weights=FILE]
_base_ = "r101v2_joint.py"
model = dict(
    init_from="work_dirs/r101v2_joint/final.safetensors",
    freeze=["trunk", "rpn", "reid_head"],
    reid_weight=0.0,
    rpn_weight=0.0,
    recurrence=dict(rollout=4, found_starts=0.4),
    cache=None,
)
train_dataloader = dict(
    dataset=dict(length=1000000, common=dict(size=(288, 448), num_frames=8))  # what is thin shows
)
max_iters = 950
optim_wrapper = dict(optimizer=dict(lr=5e-4))
