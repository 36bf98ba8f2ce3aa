# VS-ReID small, 6 of 6: the Identification Net with the OIM loss, on many objects of composites a batch.
# Run: dyenet train vsreid/small_identification.py [--set data_root=DATA]   (after small_detector)
# Time and result: docs/results.md.
_base_ = "small_rgb.py"
model = dict(
    _delete_=True,
    type="IdentificationTraining",
    network={{_base_.model.network}},
    init_from="work_dirs/small_detector/final.safetensors",
    freeze=["identification.trunk"],  # as distilled
    num_identities="auto",
    people=False,
)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        type="CompositeClips",
        videos=[{{_base_.davis}}],
        images={{_base_.photos}},
        backgrounds=[f"{_base_.data_root}/static/imagenette"],
        size=(224, 352),
        num_frames=2,
        max_step=30,
        max_objects=3,
        length=1000000,
    ),
)
