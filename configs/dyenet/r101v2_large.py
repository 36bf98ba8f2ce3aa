# On from r101v2_covered, with frames of 288x448 among those of 224x352: thin parts need pixels.
# Run: torchrun --nproc-per-node 2 -m dyenet train dyenet/r101v2_large.py [--set data_root=DATA]
#          [--set model.network.trunk.weights=FILE]
_base_ = "r101v2_covered.py"
model = dict(init_from="work_dirs/r101v2_covered/final.safetensors")
max_iters = 420
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="MixedClips",
        length=500,
        weights=[0.6, 0.4],
        common=dict(type="MixedClips", datasets={{_base_.covered}}, weights=[0.65, 0.35]),
        datasets=[
            # The clips of r101v2_covered, and others.
            dict(length=240, seed=0, common=dict(size=(224, 352), num_frames=9, length=1000000)),
            dict(length=120, seed=1, common=dict(size=(288, 448), num_frames=9, length=1000000)),
        ],
    )
)
