# The heads of `small` on somebody else's trunk: an ImageNet ResNet-101 v2 that stays outside the project and is not
# trained.
_base_ = "small.py"
model = dict(
    trunk=dict(
        _delete_=True,
        type="ExternalTrunk",
        file="../shared/trunks/resnet_v2.py",
        class_name="ResNetV2Trunk",
        weights="../shared/weights/resnet101v2_conv1_to_conv4.safetensors",
        fine_module="units.1",
        fine_channels=256,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    )
)
