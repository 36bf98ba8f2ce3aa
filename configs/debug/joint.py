# The joint stage in miniature, on synthetic clips.
# Run: dyenet train debug/joint.py   (under a minute on two CPU cores; L_mask + L_remp falls below 0.9 of the first)
_base_ = ["../_base_/models/tiny.py", "../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="JointTraining",
    network={{_base_.model}},
    init_from=None,
    freeze=[],
    num_identities="auto",
    loss_weight=1.0,
    rpn_weight=1.0,
    rois=dict(proposals=True, max_per_image=4),
    recurrence=dict(box_source="predicted", dice_weight=0.5),
)
