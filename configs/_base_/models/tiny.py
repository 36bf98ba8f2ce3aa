# For tests: every part of the network, as narrow as it gets.
_base_ = "small.py"
model = dict(
    rpn=dict(channels=16, sizes=(16, 32)),
    reid_head=dict(width=16, hidden_channels=32, output_channels=16, embedding_dim=16),
    propagation_head=dict(width=16, hidden_channels=32, output_channels=16, fine_output_channels=8),
    refinement=dict(channels=8),
    patch_size=14,
)
