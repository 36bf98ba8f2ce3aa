# RPN and heads of `small` on the trunk of dyenet/small_distill.py, which is kept as it is and so costs no gradients.
# Run: dyenet train dyenet/small_heads.py [--set data_root=DATA]
_base_ = "small_joint.py"
model = dict(init_from="work_dirs/small_distill/final.safetensors", freeze=["trunk"])
optim_wrapper = dict(optimizer=dict(lr=1e-3))
