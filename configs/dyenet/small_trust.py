# The last stage of `small`, on from dyenet/small_found.py: refinement learns where the warped mask can be trusted, with
# Re-MP at a lower rate. Not in the papers.
# Run: dyenet train dyenet/small_trust.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
_base_ = "small_found.py"
model = dict(
    init_from="work_dirs/small_found/final.safetensors",
    freeze=["trunk", "rpn", "reid_head", "pixel_matching"],
    reid_weight=0.0,
    recurrence=dict(found_starts=0.25),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
