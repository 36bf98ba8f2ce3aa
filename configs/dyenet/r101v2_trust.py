# The last stage on the foreign trunk, on from dyenet/r101v2_refinement.py, as dyenet/small_trust.py.
# Run: dyenet train dyenet/r101v2_trust.py [--set data_root=DATA] [--set model.network.trunk.weights=FILE]
_base_ = "r101v2_refinement.py"
model = dict(
    init_from="work_dirs/r101v2_refinement/final.safetensors",
    freeze=["trunk", "rpn", "reid_head", "pixel_matching"],
    recurrence=dict(found_starts=0.25),
)
max_iters = 560
optim_wrapper = dict(
    optimizer=dict(lr=8e-4), paramwise_cfg=dict(custom_keys={"network.propagation_head": dict(lr_mult=0.25)})
)
