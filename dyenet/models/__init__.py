"""The networks: nn.Modules without memory of a video."""
