# The RPN of `small` alone, on the trunk of the stage before, which is kept (the paper trains its RPN apart).
# Run: dyenet train dyenet/small_rpn.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
# After dyenet/small_joint.py it replaces the RPN that was trained along. Time and result: not measured.
_base_ = [
    "../_base_/models/small.py",
    "../_base_/inference/laptop.py",
    "../_base_/datasets/small_mix.py",
    "../_base_/schedules/small.py",
    "../_base_/training.py",
]
model = dict(
    _delete_=True,
    type="ProposalTraining",
    network={{_base_.model}},
    init_from="work_dirs/small_joint/final.safetensors",
    freeze=["trunk"],
)
max_iters = 900
