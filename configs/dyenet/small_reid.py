# The Re-ID network of `small` alone, on many objects a batch: the joint stage sees too few for the OIM loss to tell
# them apart. All else of dyenet/small_joint.py is kept as it is. The embedding layer begins anew: where all embeddings
# are alike, so are the rows of the OIM table, and the loss has no gradient.
# Run: dyenet train dyenet/small_reid.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
# 14 minutes on two CPU cores. The gain is in docs/results.md.
_base_ = "small_joint.py"
heads = [
    "rpn",
    "propagation_head",
    "refinement",
    "motion",
    "pixel_matching",
    "reid_head.mask_conv5",
    "reid_head.mask_output",
]
kept = ["trunk", *heads]
model = dict(
    init_from="work_dirs/small_joint/final.safetensors",
    init_parts=[*kept, "reid_head.embedding_conv5"],
    freeze=kept,
    loss_weight=0.0,
    rpn_weight=0.0,
    reid_weight=1.0,
    rois=dict(_delete_=True, jittered=2, jitter=0.15, proposals=False, max_per_image=6),
)
train_dataloader = dict(batch_size=8, dataset={{_base_.many_objects}})
max_iters = 600
optim_wrapper = dict(optimizer=dict(lr=1e-3))
