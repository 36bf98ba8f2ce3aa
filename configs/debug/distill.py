# Trunk distillation in miniature: the teacher is a trunk of random weights, the pictures are synthetic.
# Run: dyenet train debug/distill.py   (under a minute on two CPU cores; the loss falls below 0.9 of the first)
_base_ = ["../_base_/models/tiny.py", "../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="TrunkDistillation",
    network={{_base_.model}},
    init_from=None,
    teacher=dict(type="SmallTrunk", dilations=(1,)),
)
train_dataloader = dict(dataset=dict(num_frames=1))
