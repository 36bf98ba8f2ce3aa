# DyeNet on ResNet-50: 8.6 M instead of 27.6 M parameters in the trunk, the same heads as r101.
_base_ = "r101.py"
model = dict(trunk=dict(depth=50))
