# On from dyenet/small_refinement.py: Re-MP also starts from masks that the mask network finds in badly placed boxes, as
# retrieved starting points are. Not in the papers.
# Run: dyenet train dyenet/small_found.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
_base_ = "small_refinement.py"
model = dict(
    init_from="work_dirs/small_refinement/final.safetensors",
    freeze=["trunk", "rpn", "pixel_matching"],
    reid_weight=0.3,
    rois=dict(jitter=0.35),
    recurrence=dict(found_starts=0.4),
)
optim_wrapper = dict(
    optimizer=dict(lr=8e-4),
    paramwise_cfg=dict(
        custom_keys={
            "network.propagation_head": dict(lr_mult=0.5),
            "network.reid_head": dict(lr_mult=0.5),
        }
    ),
)
