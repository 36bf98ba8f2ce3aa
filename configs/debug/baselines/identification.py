# VS-ReID's Identification Net in miniature, on the identities of the synthetic scenes.
# Run: dyenet train debug/baselines/identification.py   (seconds on two CPU cores)
_base_ = ["../../_base_/models/vsreid_tiny.py", "../../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="IdentificationTraining",
    network={{_base_.model}},
    init_from=None,
    num_identities="auto",
)
train_dataloader = dict(dataset=dict(num_scenes=2))
