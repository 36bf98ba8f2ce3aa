# An MSK that two CPU cores can train: the size of one small VS-ReID stream.
_base_ = "msk_r101.py"
model = dict(blocks=(1, 2, 3, 2), planes=16, aspp_channels=64, aspp_dilations=(3, 6, 9, 12, 1))
