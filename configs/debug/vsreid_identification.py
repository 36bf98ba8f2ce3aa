# VS-ReID's Identification Net in miniature: the objects of 8 synthetic scenes are the identities.
# Run: dyenet train debug/vsreid_identification.py   (under a minute on two CPU cores)
_base_ = ["../_base_/models/vsreid_tiny.py", "../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="IdentificationTraining",
    network={{_base_.model}},
    init_from=None,
    num_identities="auto",
    people=False,
)
optim_wrapper = dict(optimizer=dict(lr=1e-2))
