# VS-ReID small, 6 of 6: the Identification Net with the OIM loss, on the objects of videos and composites.
# Run: dyenet train vsreid/small_identification.py [--set data_root=DATA]   (after small_detector)
# Time and result: docs/results.md.
_base_ = "small_rgb.py"
model = dict(
    _delete_=True,
    type="IdentificationTraining",
    network={{_base_.model.network}},
    init_from="work_dirs/small_detector/final.safetensors",
    num_identities="auto",
    people=False,
)
