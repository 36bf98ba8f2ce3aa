# On from dyenet/small_trust.py, or the shipped weights: templates are as far from what they are compared with as they
# are at test time, any frame of the sequence. Not in the papers.
# Run: dyenet train dyenet/small_distant.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
_base_ = "small_found.py"
model = dict(
    init_from="work_dirs/small_trust/final.safetensors",
    freeze=["trunk", "rpn"],
    recurrence=dict(rollout=3, template_frame=True),
)
train_dataloader = dict(
    dataset=dict(weights=[0.65, 0.35], common=dict(num_frames=8), datasets={{_base_.distant}})
)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(custom_keys={"network.pixel_matching": dict(lr_mult=0.3)}),
)
