# The RPN of r101 alone on the frozen trunk ("trained separately from DyeNet", Sec. 3.1).
# Run: dyenet train dyenet/r101_rpn.py --set data_root=DATA --set model.init_from=WEIGHTS
# Time and recall: not measured.
_base_ = "r101_joint_davis.py"
model = dict(
    _delete_=True,
    type="ProposalTraining",
    network={{_base_.model.network}},
    init_from="work_dirs/r101_joint_davis/final.safetensors",
    freeze=["trunk"],
)
train_dataloader = dict(dataset=dict(num_frames=1))
