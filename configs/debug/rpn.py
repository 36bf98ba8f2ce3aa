# RPN training in miniature, with the trunk shared.
# Run: dyenet train debug/rpn.py   (under a minute on two CPU cores; the loss falls below 0.8 of the first)
_base_ = ["../_base_/models/tiny.py", "../_base_/debug.py"]
model = dict(_delete_=True, type="ProposalTraining", network={{_base_.model}}, init_from=None, freeze=[])
train_dataloader = dict(dataset=dict(num_frames=1))
