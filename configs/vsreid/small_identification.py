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
train_dataloader = dict(batch_size=8, dataset={{_base_.many_objects}})
