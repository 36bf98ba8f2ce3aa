# For tests: MSK as narrow as it gets.
_base_ = "msk_r101.py"
model = dict(blocks=(1, 1, 1, 1), planes=4, norm="bn", aspp_channels=8, aspp_dilations=(2, 1))
