# On from dyenet/small_trust.py, or from the weights before it: Re-MP and refinement hear what moves as the object does,
# and templates are as far from what they are compared with as at test time, any frame of the sequence. Not in the
# papers.
# Run: dyenet train dyenet/small_motion.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
_base_ = "small_found.py"
model = dict(
    init_from="work_dirs/small_trust/final.safetensors",
    init_parts=["trunk", "rpn", "reid_head", "propagation_head", "pixel_matching", "refinement"],
    freeze=["trunk", "rpn", "reid_head", "pixel_matching"],
    reid_weight=0.0,
    recurrence=dict(rollout=3, found_starts=0.25, template_frame=True),
)
train_dataloader = dict(
    dataset=dict(weights=[0.65, 0.35], common=dict(num_frames=9), datasets={{_base_.distant}})
)
optim_wrapper = dict(optimizer=dict(lr=8e-4))
