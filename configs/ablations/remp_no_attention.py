# Re-MP without region attention (DyeNet Tables 1 and 3, "No attention"): a network trained without it.
# Train: dyenet train CONFIG --set model.network.propagation_head.attention=None
#     --set model.init_from=FILE --set model.init_parts="['trunk', 'rpn', 'reid_head', 'pixel_matching',
#     'refinement', 'propagation_head.conv5', 'propagation_head.output', 'propagation_head.fine']", then
# Run: dyenet experiment table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set remp_no_attention.weights=FILE
# Expected with the paper's training: G 67.5 on DAVIS 2017 val.
_base_ = "remp.py"
requires = dict(propagation_head=dict(attention=None))
